"""Roles: a group that writes what the service writes, and a group that reads schema ``bi`` and nothing else."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from recorder.postgres.engine import storage_errors

WRITER = "recorder_writer"
READER = "recorder_reader"

_CREATE = """
    DO $$ BEGIN
      IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN
        CREATE ROLE {role} NOLOGIN;
      END IF;
    END $$
"""
_GRANTS = (
    # The writer: rows of the service's tables; it makes partitions through a function of the owner.
    f"GRANT USAGE ON SCHEMA recorder, bi TO {WRITER}",
    f"GRANT SELECT ON ALL TABLES IN SCHEMA recorder, bi TO {WRITER}",
    f"GRANT INSERT ON recorder.account, recorder.sample, recorder.balance, recorder.balance_change TO {WRITER}",
    f"GRANT INSERT ON recorder.income, recorder.event TO {WRITER}",
    f"GRANT INSERT, UPDATE ON recorder.snapshot, recorder.gap, recorder.fill, recorder.ledger TO {WRITER}",
    f"GRANT INSERT, UPDATE ON recorder.stream, recorder.commit_mark, recorder.dead_letter TO {WRITER}",
    f"GRANT INSERT, UPDATE, DELETE ON recorder.change TO {WRITER}",
    f"GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA recorder, bi TO {WRITER}",
    # The reader: views and functions run with their owner's rights, so that schema bi is all it needs.
    f"GRANT USAGE ON SCHEMA bi TO {READER}",
    f"GRANT SELECT ON ALL TABLES IN SCHEMA bi TO {READER}",
    "REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA bi FROM PUBLIC",
    f"GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA bi TO {READER}",
)
_EXIST = text("SELECT count(*) = 2 FROM pg_roles WHERE rolname IN (:writer, :reader)")


async def create_roles(engine: AsyncEngine) -> None:
    """Make both group roles, or bring their rights up to date. The schema must exist; may be repeated."""
    with storage_errors():
        async with engine.begin() as connection:
            for role in (WRITER, READER):
                await connection.execute(text(_CREATE.format(role=role)))
            for grant in _GRANTS:
                await connection.execute(text(grant))


async def roles_exist(engine: AsyncEngine) -> bool:
    """Whether ``create_roles`` was ever run on this server."""
    with storage_errors():
        async with engine.connect() as connection:
            return bool(await connection.scalar(_EXIST, {"writer": WRITER, "reader": READER}))
