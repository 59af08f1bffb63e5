"""The backlog: what was observed and is not committed yet, and what becomes of it when PostgreSQL or the disk fails."""
