"""The README is held to its word: its SQL runs as written, its settings are settings."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from recorder.config.settings import Settings
from recorder.domain.position import Position
from recorder.domain.slot import slot_at
from recorder.domain.snapshot import Kind, Snapshot
from recorder.recording import write

REPOSITORY = Path(__file__).parents[1]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
MINUTE = timedelta(minutes=1)


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.fixture
async def recorded(engine: AsyncEngine) -> None:
    """Two days of one position that is opened, held for a day, and closed; one slot failed."""
    now = slot_at(datetime.now(UTC), MINUTE)
    times = [now - timedelta(days=2) + hour * timedelta(hours=1) for hour in range(48)]
    await write(
        engine,
        [
            Snapshot(
                account="main",
                time=time,
                kind=Kind.SLOT,
                taken_at=time,
                positions=(
                    Position(
                        symbol="BTCUSDT",
                        position_side="BOTH",
                        position_amt=Decimal(1),
                        entry_price=Decimal(100),
                        mark_price=Decimal(101),
                        unrealized_profit=Decimal("1.25"),
                        update_time=times[0],
                        margin_asset="USDT",
                    ),
                )
                * (time < times[40]),
            )
            for time in times
        ],
    )


@pytest.mark.usefixtures("recorded")
@pytest.mark.parametrize("query", blocks("sql"), ids=range(len(blocks("sql"))))
async def test_every_query_in_the_readme_runs_as_written(engine: AsyncEngine, query: str) -> None:
    async with engine.connect() as connection:
        await connection.execute(text(query.rstrip().rstrip(";").replace(":", r"\:")))


@pytest.mark.usefixtures("recorded")
async def test_the_curve_in_the_readme_shows_profit_then_flat_and_null_where_nothing_was_recorded(
    engine: AsyncEngine,
) -> None:
    async with engine.connect() as connection:
        curve = [row.unrealized_profit for row in await connection.execute(text(blocks("sql")[0].rstrip().rstrip(";")))]
    assert None in curve[:100]
    assert Decimal("1.25") in curve
    assert curve[-2] == 0


def test_the_settings_in_the_readme_are_settings(tmp_path: Path) -> None:
    (example,) = blocks("toml")
    secret = tmp_path / "secret"
    secret.write_text("S3CR3T")
    (tmp_path / "recorder.toml").write_text(example.replace('/run/secrets/binance"', f'{secret}"'), encoding="utf-8")
    settings = Settings.load(tmp_path / "recorder.toml", {"BINANCE_API_KEY": "K"}, tmp_path)
    assert settings.accounts[0].name == "main"


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(((?!http)[^)#]+)\)", README))))
def test_every_file_the_readme_points_at_is_there(target: str) -> None:
    assert (REPOSITORY / target).exists()
