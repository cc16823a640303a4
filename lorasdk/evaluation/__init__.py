"""HOW GOOD: base against tuned on held-out rows."""
