"""Watching accounts: who does it, what is asked at each slot, heard in between, and read back afterwards."""
