"""${message}."""

from pathlib import Path

from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
oldest_writer = ${repr(up_revision)}

SQL = Path(__file__).parents[1] / "sql" / revision
STEPS = ("tables",)


def run(text: str) -> None:
    """Run a whole script as it stands: colons and percent signs are SQL here, not parameters."""
    connection = op.get_bind().connection
    connection.dbapi_connection.run_async(lambda driver: driver.execute(text))  # type: ignore[union-attr]


def upgrade() -> None:
    for step in STEPS:
        run((SQL / f"{step}.sql").read_text(encoding="utf-8"))
