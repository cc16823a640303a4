"""WITH WHAT: the device, the base model's weights and tokenizer, and the adapters put on it.

The rooms that compute (engine, inference, artifacts, evaluation) share this one below them, so that no door is needed
between them.
"""
