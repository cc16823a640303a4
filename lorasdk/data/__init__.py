"""WHAT the model reads: rows become conversations, conversations become token rows with a proven loss mask."""
