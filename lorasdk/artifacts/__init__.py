"""WHAT comes out: the adapter folder with its passport."""
