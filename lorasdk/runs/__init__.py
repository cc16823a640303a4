"""WHERE a run lives: its folder, its lock, its events, what decides its bits, and which one to go on with."""
