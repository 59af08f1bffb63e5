"""Everything that is recorded, and the views on it."""

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None

SQL = Path(__file__).parents[1] / "sql" / revision
STEPS = (
    "tables",
    "partitions",
    "income_part",
    "state",
    "position_sample",
    "position_history",
    "position_latest",
    "positions_at",
    "snapshot",
    "gap",
    "fill",
    "income",
    "pnl_curve",
    "account_equity",
    "pnl_daily",
    "position_episode",
    "pnl_series",
    "freshness",
)


def run(text: str) -> None:
    """Run a whole script as it stands: colons and percent signs are SQL here, not parameters."""
    connection = op.get_bind().connection
    connection.dbapi_connection.run_async(lambda driver: driver.execute(text))  # type: ignore[union-attr]


def upgrade() -> None:
    for step in STEPS:
        run((SQL / f"{step}.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    run((SQL / "downgrade.sql").read_text(encoding="utf-8"))
