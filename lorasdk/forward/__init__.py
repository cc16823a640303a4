"""HOW one pass is computed: packs that share prefixes, logits where there is loss, no work for what is frozen."""
