"""What the edges of the record need: identity, contradicted closes, gaps of ledgers, keys that come again."""

from pathlib import Path

from alembic import op

revision = "0002"
down_revision = "0001"
oldest_writer = "0002"

SQL = Path(__file__).parents[1] / "sql" / revision
STEPS = ("schema_revision", "identity", "history", "ledgers", "keys", "maintenance")


def run(text: str) -> None:
    """Run a whole script as it stands: colons and percent signs are SQL here, not parameters."""
    connection = op.get_bind().connection
    connection.dbapi_connection.run_async(lambda driver: driver.execute(text))  # type: ignore[union-attr]


def upgrade() -> None:
    for step in STEPS:
        run((SQL / f"{step}.sql").read_text(encoding="utf-8"))
