"""HOW to train: LoRA on a base model, batches, loss, the loop."""
