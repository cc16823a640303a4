"""lorasdk beside what a user would otherwise pick: same rows, base model, adapter and steps, in one interleaved run."""
