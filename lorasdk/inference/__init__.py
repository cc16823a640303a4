"""HOW to answer: prompts in, new text out."""
