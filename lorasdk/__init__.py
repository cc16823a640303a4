"""Fine-tune language models with LoRA inside your own program."""
