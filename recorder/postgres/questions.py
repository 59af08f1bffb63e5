"""Questions: the SELECTs behind the commands, asked of the same views that everybody else reads."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncEngine

from recorder.postgres.engine import storage_errors

Rows = Sequence[dict[str, Any]]
"""One mapping a row, keys in the order of the columns; numbers are ``Decimal``, times aware UTC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFacts:
    """What matters of a server to who relies on it: its major version, whether it keeps what it confirms, its clock.

    Attributes:
        synchronous_commit: As other sessions have it; the recorder's own always wait for the disk.
        time_zone: Of other sessions too; the recorder's own are in UTC.
        tls: Version and cipher that protect the connection; ``None``: nothing does.
    """

    version: int
    fsync: bool
    full_page_writes: bool
    synchronous_commit: str
    time_zone: str
    tls: str | None
    now: datetime


_LATEST = text("""
    SELECT account, symbol, position_side, position_amt, entry_price, mark_price, unrealized_profit, margin_asset,
           update_time, time, extract(epoch FROM age) AS age_seconds
    FROM bi.position_latest
    WHERE CAST(:account AS text) IS NULL OR account = :account
    ORDER BY account, symbol, position_side
""")
_AT = text("""
    SELECT account, symbol, position_side, position_amt, entry_price, break_even_price, margin_asset, update_time,
           valid_to, source
    FROM bi.positions_at(:at)
    WHERE position_amt <> 0 AND (CAST(:account AS text) IS NULL OR account = :account)
    ORDER BY account, symbol, position_side
""")
_HISTORY = text("""
    SELECT account, symbol, position_side, update_time, valid_to, position_amt, entry_price, break_even_price,
           margin_asset, accumulated_realized, reason, source, observed_at, contradicted_by
    FROM bi.position_history
    WHERE (CAST(:account AS text) IS NULL OR account = :account)
      AND (CAST(:symbol AS text) IS NULL OR symbol = :symbol)
      AND (CAST(:since AS timestamptz) IS NULL OR update_time >= :since)
    ORDER BY update_time, account, symbol, position_side
""")
_GAPS = text("""
    SELECT account, source, started_at, ended_at, reason, symbol, position_side, repaired_by
    FROM bi.gap
    WHERE CAST(:since AS timestamptz) IS NULL OR ended_at IS NULL OR ended_at >= :since
    ORDER BY started_at, account, source, symbol, position_side
""")
_FACTS = text("""
    SELECT current_setting('server_version_num')::integer / 10000 AS version,
           current_setting('fsync') = 'on' AS fsync,
           current_setting('full_page_writes') = 'on' AS full_page_writes,
           current_setting('synchronous_commit') AS synchronous_commit,
           current_setting('TimeZone') AS time_zone,
           (SELECT version || ', ' || cipher FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl) AS tls,
           clock_timestamp() AS now
""")
_SUMMARY = text("""
    SELECT a.name AS account,
           count(s.*) FILTER (WHERE s.outcome = 'ok') AS ok_snapshots,
           count(s.*) FILTER (WHERE s.outcome <> 'ok') AS failed_snapshots,
           coalesce(sum(s.position_count), 0) AS samples,
           (SELECT count(*) FROM recorder.change c WHERE c.account_id = a.id) AS changes,
           (SELECT count(*) FROM recorder.change c WHERE c.account_id = a.id AND c.source = 'inferred') AS closes,
           (SELECT count(*) FROM bi.gap g WHERE g.account = a.name) AS gaps,
           min(s."time") AS first_time,
           max(s."time") AS last_time
    FROM recorder.account a
    LEFT JOIN recorder.snapshot s ON s.account_id = a.id
    GROUP BY a.id, a.name
    ORDER BY a.name
""")
ROW_FIELDS = (
    "symbol",
    "position_side",
    "update_time",
    "position_amt",
    "entry_price",
    "break_even_price",
    "mark_price",
    "unrealized_profit",
    "liquidation_price",
    "isolated_margin",
    "notional",
    "isolated_wallet",
    "open_order_initial_margin",
    "adl",
)
"""What tells a position row from any other."""

_ROWS = text(f"""
    SELECT {", ".join(f"p.{field}" for field in ROW_FIELDS)}
    FROM bi.snapshot s
    LEFT JOIN bi.position_sample p ON p.account = s.account AND p.time = s.time
    WHERE s.account = :account AND s.time = :time AND s.outcome = 'ok'
""")


async def open_positions(engine: AsyncEngine, account: str | None) -> Rows:
    """What is held now: the open positions of each account's newest ok snapshot."""
    return await _ask(engine, _LATEST, account=account)


async def positions_at(engine: AsyncEngine, account: str | None, at: datetime) -> Rows:
    """What was held then: the open positions whose state was in force at *at*."""
    return await _ask(engine, _AT, account=account, at=at)


async def history(engine: AsyncEngine, account: str | None, symbol: str | None, since: datetime | None) -> Rows:
    """Every change of every position, oldest first."""
    return await _ask(engine, _HISTORY, account=account, symbol=symbol, since=since)


async def gaps(engine: AsyncEngine, since: datetime | None) -> Rows:
    """The intervals in which accounts were not watched, open ones included."""
    return await _ask(engine, _GAPS, since=since)


async def summary(engine: AsyncEngine) -> Rows:
    """How much is recorded of each account."""
    return await _ask(engine, _SUMMARY)


async def server_facts(engine: AsyncEngine) -> ServerFacts:
    """What kind of server this is, by an engine without settings of its own. Raises ``StorageError``."""
    (facts,) = await _ask(engine, _FACTS)
    return ServerFacts(**facts)


async def recorded_rows(engine: AsyncEngine, account: str, time: datetime) -> set[tuple[Any, ...]] | None:
    """The ``ROW_FIELDS`` of each row of the ok snapshot at *time*; ``None`` when there is no such snapshot."""
    rows = await _ask(engine, _ROWS, account=account, time=time)
    if not rows:
        return None
    return {tuple(row.values()) for row in rows if row["symbol"] is not None}


async def _ask(engine: AsyncEngine, question: TextClause, **values: Any) -> Rows:
    with storage_errors():
        async with engine.connect() as connection:
            return [dict(row) for row in (await connection.execute(question, values)).mappings()]
