"""The process that runs for months: its time, its pulse, the works in it, and who started it."""
