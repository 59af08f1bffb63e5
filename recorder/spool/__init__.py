"""The spool: what was observed, on disk before it is in PostgreSQL, so that nothing but the disk itself can lose it.

A folder of segments that are only ever appended to, and a checkpoint that says how far PostgreSQL has them. SQLite in
WAL mode with ``synchronous=FULL`` would be as durable and less code. It is not used because it is one file: it never
shrinks while it is read, one bad page can make all of it unreadable, and a full disk stops its reader too. A log of
whole records loses exactly the records that are damaged, deletes by file, and costs one write and one fsync for
everything that waits; ``python -m tests.benchmarks.spool`` measures both side by side.
"""
