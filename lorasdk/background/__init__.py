"""WHO waits: handles of runs that go on elsewhere, in a thread of their own or in a process of their own."""
