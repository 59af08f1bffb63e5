"""The demonstration: simulated days recorded at once, then a live recorder in front of a simulated exchange."""

import asyncio
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from recorder.binance.saved import decode_saved
from recorder.cli.chart import POINTS, print_curves
from recorder.cli.earnings import read_curves
from recorder.cli.output import SUMMARY, lines, print_table, stderr, stdout, table
from recorder.cli.signals import stop_signals
from recorder.cli.span import Span
from recorder.config.settings import Settings
from recorder.domain.slot import slots_between
from recorder.domain.snapshot import Kind, Snapshot
from recorder.logs import configure_logging
from recorder.postgres import questions
from recorder.postgres.database import open_database
from recorder.postgres.engine import create_unhurried_engine
from recorder.postgres.partitions import prepare_partitions
from recorder.postgres.schedules import write_schedule
from recorder.postgres.verification.audit import audit
from recorder.recording import write
from recorder.service import run
from recorder.simulator.exchange import Simulator
from recorder.simulator.scenario import DEMO
from recorder.simulator.settings import settings_text
from recorder.simulator.world import World

_SEED = 7
_PAST_EVERY = timedelta(minutes=1)
_LIVE_EVERY = "5s"
_WITHOUT_TERMINAL = timedelta(seconds=30)
_ANSWER_TAKES = timedelta(milliseconds=40)
_SNAPSHOTS_AT_ONCE = 100

_POSITIONS = {
    "account": "account",
    "symbol": "symbol",
    "position_side": "side",
    "position_amt": "amount",
    "entry_price": "entry",
    "mark_price": "mark",
    "unrealized_profit": "unrealised profit",
    "margin_asset": "asset",
}
_HISTORY = {
    "update_time": "time",
    "account": "account",
    "symbol": "symbol",
    "position_side": "side",
    "position_amt": "amount",
    "entry_price": "entry",
    "source": "source",
}
_CHANGES_SHOWN = 8
_CURVE_ACCOUNT = "main"
_CURVE_ASSET = "USDT"


async def show(days: int, duration: timedelta | None, log_level: str) -> None:
    """Record *days* of a simulated past, then live until told to stop or for *duration*; print what was recorded."""
    configure_logging(log_level, json=None, secrets=())
    stop = stop_signals()
    now = datetime.now(UTC)
    world = DEMO.world(_SEED, now - timedelta(days=days))
    with _folder() as folder:
        lines(["Starting PostgreSQL …"])
        async with open_database(None, folder / "data", engine_of=create_unhurried_engine) as engine:
            await _record_past(engine, world, now, stop)
            async with Simulator(world) as exchange:
                settings = _settings(folder, exchange)
                await _record_live(settings, engine, duration, stop)
            await _summarize(engine, now - timedelta(days=days))
    lines(
        [
            "\nAll of this was simulated, and is gone. To record your own account, with a key that may only read:",
            "  BINANCE_API_KEY=… BINANCE_API_SECRET=… recorder run",
        ]
    )


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder that is gone afterwards. Started as root, PostgreSQL runs as another user and must get through it."""
    with tempfile.TemporaryDirectory(prefix="recorder-demo-") as name:
        Path(name).chmod(0o711)
        yield Path(name)


def _settings(folder: Path, exchange: Simulator) -> Settings:
    """Write the recorder.toml of the demonstration, as a user would, and read it."""
    file = folder / "recorder.toml"
    file.touch(mode=0o600)
    file.write_text(
        f'[storage]\ndata_dir = "{folder / "data"}"\n[snapshot]\nevery = "{_LIVE_EVERY}"\n[http]\nlisten = ""\n'
        + settings_text(exchange, exchange.world.accounts.values(), folder),
        encoding="utf-8",
    )
    return Settings.load(file, {}, folder)


async def _record_past(engine: AsyncEngine, world: World, until: datetime, stop: asyncio.Event) -> None:
    slots = list(slots_between(world.now, until, _PAST_EVERY))
    await prepare_partitions(engine, world.now, until)
    async with engine.begin() as connection:
        await write_schedule(connection, list(world.accounts), world.now, _PAST_EVERY)
    with Progress(
        TextColumn("Recording simulated days"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("slots"),
        TimeRemainingColumn(),
        console=stderr(),
        disable=not sys.stderr.isatty(),
    ) as progress:
        task = progress.add_task("past", total=len(slots))
        step = max(1, _SNAPSHOTS_AT_ONCE // len(world.accounts))
        for start in range(0, len(slots), step):
            if stop.is_set():
                return
            batch = slots[start : start + step]
            await write(engine, [snapshot for slot in batch for snapshot in _simulated(world, slot)])
            progress.advance(task, len(batch))


def _simulated(world: World, slot: datetime) -> Iterator[Snapshot]:
    """The snapshots a recorder would have taken at *slot*, from the very frames the exchange would have sent."""
    world.advance(slot)
    for account in world.accounts.values():
        (positions,) = decode_saved(world.answer_positions(account, "demo").encode())
        yield Snapshot(
            account=account.name,
            time=slot,
            kind=Kind.SLOT,
            taken_at=slot + _ANSWER_TAKES / 2,
            duration=_ANSWER_TAKES,
            clock_offset=timedelta(0),
            positions=positions,
        )


async def _record_live(
    settings: Settings, engine: AsyncEngine, duration: timedelta | None, stop: asyncio.Event
) -> None:
    if duration is None and not sys.stdin.isatty():
        duration = _WITHOUT_TERMINAL
    until = "until Ctrl-C" if duration is None else f"for {duration.total_seconds():g} s"
    lines(
        [
            f"Recording live every {_LIVE_EVERY} {until}. Meanwhile, in another terminal:",
            f"  recorder positions --config {settings.file}",
            f'  psql "$(recorder db url --config {settings.file})"',
        ]
    )
    recording = asyncio.create_task(run(settings, stop), name="recorder")
    following = asyncio.create_task(_follow(engine), name="view")
    patience = None if duration is None else duration.total_seconds()
    await asyncio.wait({recording, following}, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
    stop.set()
    following.cancel()
    await asyncio.wait({following})
    await recording


async def _follow(engine: AsyncEngine) -> None:
    """Show the newest positions as long as somebody watches; without a terminal, do nothing for ever."""
    if not sys.stderr.isatty():
        await asyncio.Event().wait()
    with Live(console=stderr(), transient=True, refresh_per_second=4) as live:
        while True:
            live.update(table(await questions.open_positions(engine, None), _POSITIONS))
            await asyncio.sleep(1)


async def _summarize(engine: AsyncEngine, since: datetime) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("ANALYZE"))  # autovacuum does, a minute after so much was written
    stdout().print("Recorded", style="bold")
    print_table(await questions.summary(engine), SUMMARY, empty="nothing")
    stdout().print("\nHeld now: bi.position_latest", style="bold")
    print_table(await questions.open_positions(engine, None), _POSITIONS, empty="nothing")
    stdout().print("\nThe newest changes: bi.position_history", style="bold")
    changes = await questions.history(engine, None, None, datetime.now(UTC) - timedelta(days=1))
    print_table(changes[-_CHANGES_SHOWN:], _HISTORY, empty="nothing")
    stdout().print("\nWhat it earned: bi.pnl_series", style="bold")
    span = Span(since=since, until=datetime.now(UTC))
    curves = await read_curves(engine, _CURVE_ACCOUNT, None, span, POINTS)
    print_curves([curve for curve in curves if curve.asset == _CURVE_ASSET])
    stdout().print("\nIs it whole? recorder verify", style="bold")
    results = await audit(engine)
    asked = [result for result in results if result.answer.checked]
    broken = [result.check.name for result in asked if result.is_violated]
    stdout().print(
        f"{len(asked)} checks of slots, samples, history, gaps and books: "
        + (f"violated: {', '.join(broken)}" if broken else "no violation")
    )
