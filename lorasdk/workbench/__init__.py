"""THE WORK ITSELF: what is in memory, and what is done with it from the first row to the last file. Heavy."""
