"""Watching accounts: who is on duty for which, what is asked at each slot, heard in between, and read back afterwards."""
