"""What the views say, read beside the service: the tests' only way to learn what was recorded."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import asyncpg

from tests.service.rows import Samples

EVERY = timedelta(seconds=1)
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
PLENTY = 60.0  # seconds; what takes longer is not coming, on the busiest of machines
_POLL = 0.02  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A row of ``bi.snapshot``, and when the database wrote it."""

    account: str
    time: datetime
    kind: str
    taken_at: datetime
    outcome: str
    detail: str
    position_count: int
    duration: timedelta
    recorded_at: datetime

    @property
    def ok(self) -> bool:
        return self.outcome == "ok"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A row of ``bi.position_history``."""

    symbol: str
    position_side: str
    update_time: datetime
    position_amt: Decimal
    entry_price: Decimal
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A row of ``bi.gap``."""

    account: str
    started_at: datetime
    ended_at: datetime | None
    reason: str


class Tables:
    """The recorded truth, on a connection of its own."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self.connection = connection

    async def snapshots(self, account: str | None = None) -> list[Taken]:
        """Return the snapshots of one account or of all, oldest first."""
        rows = await self.connection.fetch(
            """
            SELECT v.account, v."time", v.kind, v.taken_at, v.outcome, coalesce(v.detail, '') AS detail,
                   v.position_count, make_interval(secs => v.duration_ms / 1000.0) AS duration, s.recorded_at
            FROM bi.snapshot v
            JOIN recorder.account a ON a.name = v.account
            JOIN recorder.snapshot s ON s.account_id = a.id AND s."time" = v."time"
            WHERE $1::text IS NULL OR v.account = $1
            ORDER BY v."time", v.account
            """,
            account,
        )
        return [Taken(**row) for row in rows]

    async def clock_offset_ms(self, account: str, time: datetime) -> int:
        """Return the exchange's clock minus this machine's, as it is stored with a snapshot."""
        offset: int = await self.connection.fetchval(
            "SELECT clock_offset_ms FROM recorder.snapshot s JOIN recorder.account a ON a.id = s.account_id "
            'WHERE a.name = $1 AND s."time" = $2',
            account,
            time,
        )
        return offset

    async def times(self, account: str, *, after: datetime = BEGINNING) -> list[datetime]:
        """Return the times of an account's snapshots later than *after*, of every kind and outcome."""
        return [taken.time for taken in await self.snapshots(account) if taken.time > after]

    async def first(
        self, account: str, outcome: str | None = None, *, after: datetime = BEGINNING, within: float = PLENTY
    ) -> Taken:
        """Wait for the account's first snapshot of the schedule later than *after* with that outcome; return it."""

        def fits(taken: Taken) -> bool:
            return taken.kind == "slot" and outcome in {None, taken.outcome} and taken.time > after

        taken = await self.until(lambda rows: any(map(fits, rows)), account, within=within)
        return next(filter(fits, taken))

    async def until(
        self, holds: Callable[[list[Taken]], bool], account: str | None = None, *, within: float = PLENTY
    ) -> list[Taken]:
        """Wait until the snapshots are as *holds* wants them, and return them."""
        taken: list[Taken] = []
        try:
            async with asyncio.timeout(within):
                while not holds(taken := await self.snapshots(account)):  # noqa: ASYNC110 - no event comes from there
                    await asyncio.sleep(_POLL)
        except TimeoutError:
            seen = "\n".join(f"  {row.account} {row.time:%T.%f} {row.kind} {row.outcome} {row.detail}" for row in taken)
            raise AssertionError(f"it did not come within {within:g} s; there is\n{seen}") from None
        return taken

    async def samples(self, account: str, time: datetime) -> Samples:
        """Return the rows of one snapshot by symbol and side, numbers as text with every digit."""
        rows = await self.connection.fetch(
            """
            SELECT symbol, position_side, update_time, margin_asset, adl, extra,
                   position_amt::text, entry_price::text, break_even_price::text, mark_price::text,
                   unrealized_profit::text, liquidation_price::text, isolated_margin::text, notional::text,
                   isolated_wallet::text, initial_margin::text, maint_margin::text, position_initial_margin::text,
                   open_order_initial_margin::text, bid_notional::text, ask_notional::text
            FROM bi.position_sample WHERE account = $1 AND "time" = $2
            """,
            account,
            time,
        )
        return {(row["symbol"], row["position_side"]): dict(row) for row in rows}

    async def history(self, account: str) -> list[Change]:
        """Return the changes of an account, oldest first."""
        rows = await self.connection.fetch(
            """
            SELECT symbol, position_side, update_time, position_amt, entry_price, source
            FROM bi.position_history WHERE account = $1 ORDER BY update_time, symbol, position_side
            """,
            account,
        )
        return [Change(**row) for row in rows]

    async def inferred(self, account: str) -> list[Change]:
        """Return the closes that no answer told of: the position had vanished."""
        return [change for change in await self.history(account) if change.source == "inferred"]

    async def gaps(self, source: str = "snapshot") -> list[Gap]:
        """Return the gaps, but for the one that a service leaves open when it is stopped."""
        rows = await self.connection.fetch(
            """
            SELECT account, started_at, ended_at, reason
            FROM bi.gap
            WHERE source = $1 AND (reason <> 'stopped' OR ended_at IS NOT NULL)
            ORDER BY started_at, account
            """,
            source,
        )
        return [Gap(**row) for row in rows]

    async def held(self, account: str, at: datetime) -> dict[tuple[str, str], Decimal]:
        """Return the open amounts that ``bi.positions_at`` tells of."""
        rows = await self.connection.fetch(
            """
            SELECT symbol, position_side, position_amt FROM bi.positions_at($2)
            WHERE account = $1 AND position_amt <> 0
            """,
            account,
            at,
        )
        return {(row["symbol"], row["position_side"]): row["position_amt"] for row in rows}

    async def assert_every_slot_is_answered(
        self, accounts: Iterable[str], since: datetime, until: datetime, every: timedelta = EVERY
    ) -> None:
        """Each slot from *since* to *until* has a row or lies inside a gap; if it failed, both are true.

        That PostgreSQL refuses an answer is no time in which nobody watched.
        """
        silent = await self.connection.fetch(
            """
            SELECT account, slot,
                   (SELECT s.outcome FROM bi.snapshot s
                    WHERE s.account = wanted.account AND s."time" = slot) AS outcome,
                   (SELECT count(*) FROM bi.gap g
                    WHERE g.account = wanted.account AND g.source = 'snapshot'
                      AND g.started_at <= slot AND (slot < g.ended_at OR g.ended_at IS NULL)) AS gaps
            FROM unnest($1::text[]) AS wanted (account)
            CROSS JOIN generate_series(date_bin($4, $2, 'epoch'), $3::timestamptz, $4) AS slot
            WHERE slot >= $2
            """,
            list(accounts),
            since,
            until,
            every,
        )
        wrong = [dict(row) for row in silent if row["outcome"] not in {"ok", "refused_by_database"} and not row["gaps"]]
        assert wrong == [], wrong
