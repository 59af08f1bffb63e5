"""Rebuilding: the changes that follow from an account's fills, between those that snapshots and events told of.

Only what can have another outcome than the last time is walked again: each symbol's fills say up to when it was done,
and whatever is written of an earlier time sets that back.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from recorder.domain.change import ChangeSource
from recorder.domain.walk import TOLERANCE, Execution, Rebuilt, Told, Unexplained, Walk, walk
from recorder.postgres.changes import hold_again
from recorder.postgres.rowset import RowSet, number

_SIDES = ("BOTH", "LONG", "SHORT")
_REASONS = {"not_a_fill": ["FUNDING_FEE", "MARGIN_TRANSFER", "MARGIN_TYPE_CHANGE"]}
"""Reasons for which the stream tells of a position that was not traded then."""

PIECE = 5_000
"""As many fills are walked through at once: less than a second's work, in which nothing else runs."""

_KEY = {"account_id": "integer", "symbol": "text", "position_side": "text"}
_CHANGE = RowSet(
    _KEY | {"update_time": "timestamptz", "dated_by_exchange": "boolean"},
    {
        "position_amt": "numeric",
        "entry_price": "numeric",
        "margin_asset": "text",
        "accumulated_realized": "numeric",
        "source": "text",
        "observed_at": "timestamptz",
    },
)
_INSTANT = RowSet(_KEY | {"update_time": "timestamptz"}, {})
_UNEXPLAINED = RowSet(_KEY | {"started_at": "timestamptz", "ended_at": "timestamptz"}, {})
_DUE = text("""
    SELECT symbol FROM recorder.ledger
    WHERE account_id = :account_id AND kind = 'fill' AND (rebuilt_until IS NULL OR rebuilt_until < complete_until)
    ORDER BY symbol
""")
# The income names every symbol that was traded, so that one that nothing speaks of any more has no later fills either.
_REACH = text("""
    SELECT fills.complete_since AS since, greatest(fills.complete_until, income.complete_until) AS until,
           fills.rebuilt_until
    FROM recorder.ledger AS fills
    LEFT JOIN recorder.ledger AS income ON income.account_id = fills.account_id AND income.kind = 'income'
    WHERE fills.account_id = :account_id AND fills.kind = 'fill' AND fills.symbol = :symbol
""")
_PIECE = text("""
    SELECT "time" FROM recorder.fill
    WHERE account_id = :account_id AND symbol = :symbol AND "time" > :since AND "time" < :until
    ORDER BY "time" OFFSET :fills LIMIT 1
""")
# The last state that has one place among the fills whatever came before: there is a single fill at its very time, or
# none near it.
_CERTAIN = text("""
    SELECT c.update_time
    FROM recorder.change c
    WHERE c.account_id = :account_id AND c.symbol = :symbol AND c.position_side = :position_side
      AND c.dated_by_exchange AND c.source <> 'ledger' AND c.update_time BETWEEN :since AND :before
      AND (SELECT count(*) = 0 OR count(*) FILTER (WHERE f."time" = c.update_time) = 1
          AND coalesce(c.reason <> ALL (CAST(:not_a_fill AS text[])), true)
        FROM recorder.fill f
        WHERE f.account_id = c.account_id AND f.symbol = c.symbol AND f.position_side = c.position_side
          AND f."time" >= c.update_time - CAST(:tolerance AS interval)
          AND f."time" <= c.update_time + CAST(:tolerance AS interval))
    ORDER BY c.update_time DESC LIMIT 1
""")
_FILLS = text("""
    SELECT "time", CASE side WHEN 'BUY' THEN quantity ELSE -quantity END AS quantity, price, realized_profit
    FROM recorder.fill
    WHERE account_id = :account_id AND symbol = :symbol AND position_side = :position_side
      AND "time" BETWEEN :since AND :until
    ORDER BY "time", trade_id, order_id
""")
# Besides the changes, what the snapshots around each fill had of the position. One that had none says that it was flat.
_TOLD = text("""
    SELECT c.update_time AS "time", coalesce(c.reason <> ALL (CAST(:not_a_fill AS text[])), true) AS begins,
           c.position_amt, c.entry_price, c.accumulated_realized, c.margin_asset, c.observed_at
    FROM recorder.change c
    WHERE c.account_id = :account_id AND c.symbol = :symbol AND c.position_side = :position_side
      AND c.dated_by_exchange AND c.source <> 'ledger' AND c.update_time BETWEEN :since AND :until
    UNION ALL
    SELECT c.observed_at, false, c.position_amt, c.entry_price, c.accumulated_realized, c.margin_asset, c.observed_at
    FROM recorder.change c
    WHERE c.account_id = :account_id AND c.symbol = :symbol AND c.position_side = :position_side
      AND NOT c.dated_by_exchange AND c.observed_at BETWEEN :since AND :until
    UNION ALL
    SELECT DISTINCT s.taken_at, false, coalesce(p.position_amt, 0), coalesce(p.entry_price, 0), CAST(NULL AS numeric),
           p.margin_asset, s.taken_at
    FROM (
      SELECT DISTINCT "time" FROM recorder.fill
      WHERE account_id = :account_id AND symbol = :symbol AND position_side = :position_side
        AND "time" BETWEEN :since AND :until
    ) AS step
    CROSS JOIN LATERAL (
      (SELECT s."time", s.taken_at FROM recorder.snapshot s
       WHERE s.account_id = :account_id AND s."time" < step."time" AND s.outcome = 'ok'
       ORDER BY s."time" DESC LIMIT 1)
      UNION ALL
      (SELECT s."time", s.taken_at FROM recorder.snapshot s
       WHERE s.account_id = :account_id AND s."time" >= step."time" AND s.outcome = 'ok'
       ORDER BY s."time" LIMIT 1)
    ) AS s
    LEFT JOIN recorder.sample p
      ON p.account_id = :account_id AND p."time" = s."time" AND p.symbol = :symbol
      AND p.position_side = :position_side
    WHERE s.taken_at BETWEEN :since AND :until
""")
# Of a position that was never seen; its profit was booked when it was closed.
_MARGIN_ASSET = text("""
    SELECT max(asset) FROM recorder.income
    WHERE account_id = :account_id AND symbol = :symbol AND income_type = 'REALIZED_PNL'
""")
_FORGET = text("""
    DELETE FROM recorder.change
    WHERE account_id = :account_id AND symbol = :symbol AND position_side = :position_side AND source = 'ledger'
      AND update_time BETWEEN :since AND :until
""")
_FORGET_UNEXPLAINED = text("""
    DELETE FROM recorder.unexplained
    WHERE account_id = :account_id AND symbol = :symbol AND position_side = :position_side
      AND ended_at > :since AND ended_at <= :until
""")
# Of several events about one instant only the last tells what became of the position: if it was lost, the one before
# it gives way.
_MAKE_ROOM = text(f"""
    DELETE FROM recorder.change USING ({_INSTANT.rows}) AS given
    WHERE change.account_id = given.account_id AND change.symbol = given.symbol
      AND change.position_side = given.position_side AND change.update_time = given.update_time
      AND change.dated_by_exchange
""")
_ADD = text(f"""
    INSERT INTO recorder.change ({_CHANGE.names}) {_CHANGE.rows}
    ON CONFLICT (account_id, symbol, position_side, update_time, dated_by_exchange) DO NOTHING
""")
_ADD_UNEXPLAINED = text(f"""
    INSERT INTO recorder.unexplained ({_UNEXPLAINED.names}) {_UNEXPLAINED.rows} ON CONFLICT DO NOTHING
""")
_DONE = text("""
    UPDATE recorder.ledger SET rebuilt_until = :until
    WHERE account_id = :account_id AND kind = 'fill' AND symbol = :symbol
""")


async def symbols_to_rebuild(connection: AsyncConnection, account_id: int) -> list[str]:
    """The symbols of an account of which anything was recorded since their changes were rebuilt."""
    return list(await connection.scalars(_DUE, {"account_id": account_id}))


async def rebuild_changes(connection: AsyncConnection, account_id: int, symbol: str, at_once: int = PIECE) -> bool:
    """Rebuild the changes of a symbol as far as its fills are recorded, and return whether there are more to do.

    The account's turn must have been taken, and the fills been asked for of every symbol of which anything speaks.
    More fills than *at_once* are done piece by piece, in a transaction each, so that others get their turn in between.
    """
    whose = {"account_id": account_id, "symbol": symbol}
    due = (await connection.execute(_REACH, whose)).one()
    done = due.rebuilt_until or due.since
    piece = await connection.scalar(_PIECE, whose | {"since": done, "until": due.until, "fills": at_once})
    until = await _rebuild_until(connection, whose, due, piece or due.until)
    if piece and until <= done:  # nothing was told in the whole piece
        piece, until = None, await _rebuild_until(connection, whose, due, due.until)
    await connection.execute(_DONE, whose | {"until": until})
    return piece is not None


async def _rebuild_until(connection: AsyncConnection, whose: dict[str, Any], due: Any, until: datetime) -> datetime:
    """Rebuild every side, and return up to when that is done: fills after the last told state wait for the next."""
    margin_asset = await connection.scalar(_MARGIN_ASSET, whose)
    done = until
    for side in _SIDES:
        key = whose | {"position_side": side}
        walked = await _rebuild(connection, key, await _began(connection, key, due) or due.since, until, margin_asset)
        done = min(done, walked.until or done)
    return done


async def _rebuild(
    connection: AsyncConnection, key: dict[str, Any], since: datetime, until: datetime, margin_asset: str | None
) -> Walk:
    reach = {"since": since, "until": until}
    fills = await connection.execute(_FILLS, key | reach | {"since": since - 2 * TOLERANCE})
    told = await connection.execute(_TOLD, key | reach | {"until": until - TOLERANCE} | _REASONS)
    walked = walk(
        [Told(**row) for row in told.mappings()],
        [Execution(**row) for row in fills.mappings()],
    )
    await connection.execute(_FORGET, key | reach)
    await connection.execute(_FORGET_UNEXPLAINED, key | reach)
    if walked.refuted:
        refuted = _INSTANT.parameters((*key.values(), time) for time in walked.refuted)
        await connection.execute(_MAKE_ROOM, refuted)
        gone = [(key["symbol"], key["position_side"], time) for time in walked.refuted]
        await hold_again(connection, key["account_id"], gone)  # they stood against these, and stand against less now
    await _write(connection, key, walked.rebuilt, margin_asset)
    await _write_unexplained(connection, key, walked.unexplained)
    return walked


async def _began(connection: AsyncConnection, key: dict[str, Any], due: Any) -> datetime | None:
    """The time of the state from which to walk, so that it comes to the same as from the beginning."""
    if due.rebuilt_until is None:
        return None
    given = {"since": due.since, "before": due.rebuilt_until - 2 * TOLERANCE, "tolerance": TOLERANCE} | _REASONS
    began: datetime | None = await connection.scalar(_CERTAIN, key | given)
    return began


async def _write(
    connection: AsyncConnection, key: dict[str, Any], rebuilt: Sequence[Rebuilt], margin_asset: str | None
) -> None:
    rows = [
        (
            *key.values(),
            state.update_time,
            True,
            number(state.position_amt),
            number(state.entry_price),
            state.margin_asset or margin_asset,
            number(state.accumulated_realized),
            ChangeSource.LEDGER,
            state.observed_at,
        )
        for state in rebuilt
    ]
    if rows:
        await connection.execute(_ADD, _CHANGE.parameters(rows))


async def _write_unexplained(
    connection: AsyncConnection, key: dict[str, Any], unexplained: Sequence[Unexplained]
) -> None:
    if unexplained:
        rows = [(*key.values(), stretch.started_at, stretch.ended_at) for stretch in unexplained]
        await connection.execute(_ADD_UNEXPLAINED, _UNEXPLAINED.parameters(rows))
