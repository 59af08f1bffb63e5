"""PostgreSQL from a wheel: a server of its own under the data directory, started with the first who needs it."""
