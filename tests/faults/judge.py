"""The judge: what the exchange served and what really happened, against what was recorded of it.

Every second of every account is either recorded or named in ``bi.gap``, and a gap needs a reason: what is missing
while the recorder could see is lost, even where a gap is put over it.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from recorder.simulator.exchange import Simulator
from recorder.simulator.traffic import Served
from tests.faults.history import judge_events
from tests.faults.verdict import Case, Interval, Verdict
from tests.service.rows import Samples, as_recorded

EVERY = timedelta(seconds=1)
UNREADABLE = frozenset({"spool_damaged", "database_restored"})
"""Reasons of gaps that say that something may be missing, and not that all of it is."""
VAGUE = "vague"
UNANSWERED = frozenset({"timeout", "unreachable", "stopped", "rate_limited", "clock", "missed"})
"""Outcomes of a snapshot to which an answer may have been sent, but did not come in time."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TRANSIT = timedelta(milliseconds=250)
_DOUBLE = timedelta(seconds=1)

_SNAPSHOTS = """
    SELECT account, "time", kind, outcome, taken_at, make_interval(secs => duration_ms / 1000.0) AS duration
    FROM bi.snapshot WHERE "time" >= $1::timestamptz - interval '2 s' AND "time" <= $2 ORDER BY taken_at
"""
_SAMPLES = """
    SELECT account, "time", symbol, position_side, update_time, margin_asset, adl, extra,
           position_amt::text, entry_price::text, break_even_price::text, mark_price::text,
           unrealized_profit::text, liquidation_price::text, isolated_margin::text, notional::text,
           isolated_wallet::text, initial_margin::text, maint_margin::text, position_initial_margin::text,
           open_order_initial_margin::text, bid_notional::text, ask_notional::text
    FROM bi.position_sample WHERE "time" >= $1::timestamptz - interval '2 s' AND "time" <= $2
"""
_FILLS = """
    SELECT account, symbol, trade_id, time, price::text, quantity::text, realized_profit::text,
           (-commission)::text AS commission, commission_asset, side, maker
    FROM bi.fill WHERE time > $1 AND time <= $2
"""
_CHANGES = """
    SELECT account, symbol, position_side, update_time, position_amt::text, entry_price::text, source, observed_at
    FROM bi.position_history WHERE update_time > $1 AND update_time <= $2 ORDER BY update_time
"""
_BALANCES = """
    SELECT a.name AS account, b.asset, b."time", b.event_time, b.wallet_balance::text, b.balance_change::text
    FROM recorder.balance_change b JOIN recorder.account a ON a.id = b.account_id
    WHERE b."time" > $1 AND b."time" <= $2
"""
_GAPS = "SELECT account, source, started_at, ended_at, reason FROM bi.gap"


async def judge(
    connection: asyncpg.Connection,
    exchange: Simulator,
    *,
    since: datetime,
    until: datetime,
    away: Sequence[Interval] = (),
    every: timedelta = EVERY,
) -> Verdict:
    """Compare what was recorded about the time from *since* to *until* with what happened.

    *away* is when the recorder could not see: nothing else may be missing, and even that must be in a gap. The
    exchange's clock must be right.
    """
    verdict = Verdict()
    rows = {
        name: await _by_account(connection, sql, since, until)
        for name, sql in (
            ("snapshots", _SNAPSHOTS),
            ("samples", _SAMPLES),
            ("fills", _FILLS),
            ("changes", _CHANGES),
            ("balances", _BALANCES),
        )
    }
    gaps = await _by_account(connection, _GAPS)
    sent: dict[str, set[str]] = defaultdict(set)
    for event in exchange.traffic.events:
        sent[event.account].add(event.text)
    for name, account in exchange.world.accounts.items():
        intervals: dict[str, list[Interval]] = {"snapshot": [], "stream": [], VAGUE: []}
        for gap in gaps[name]:
            interval = gap["started_at"], gap["ended_at"] or until
            intervals[gap["source"]].append(interval)
            if gap["reason"] in UNREADABLE:
                intervals[VAGUE].append(interval)
        case = Case(account, exchange, since, until, away, intervals, frozenset(sent[name]))
        _judge_gaps(case, gaps[name], verdict)
        _judge_slots(case, rows["snapshots"][name], every, verdict)
        _judge_answers(case, rows["snapshots"][name], rows["samples"][name], verdict)
        judge_events(
            case,
            verdict,
            fills=rows["fills"][name],
            changes=rows["changes"][name],
            balances=rows["balances"][name],
        )
    return verdict


async def _by_account(connection: asyncpg.Connection, sql: str, *given: Any) -> dict[str, list[asyncpg.Record]]:
    rows: dict[str, list[asyncpg.Record]] = defaultdict(list)
    for row in await connection.fetch(sql, *given):
        rows[row["account"]].append(row)
    return rows


def _judge_gaps(case: Case, gaps: Iterable[asyncpg.Record], verdict: Verdict) -> None:
    """A gap needs a reason, and an end once everything is well."""
    for gap in gaps:
        said = f"{case.account.name}: gap of {gap['source']}, {gap['reason']}, {gap['started_at']} … {gap['ended_at']}"
        if gap["ended_at"] is None:
            verdict.lost.append(f"{said}: has no end")
        elif gap["ended_at"] > case.since and not any(
            since <= gap["ended_at"] and gap["started_at"] <= until for since, until in case.away
        ):
            verdict.lost.append(f"{said}: the recorder could see then")


def _judge_slots(case: Case, rows: Iterable[asyncpg.Record], every: timedelta, verdict: Verdict) -> None:
    """Each slot has exactly one row, or is in a gap; one that failed has its row and is in a gap too."""
    rows = list(rows)
    recorded = Counter(row["time"] for row in rows)
    ok = {row["time"] for row in rows if row["outcome"] == "ok"}
    slot = _EPOCH + -(-(case.since - _EPOCH) // every) * every
    while slot <= case.until - every:
        in_gap = any(started < slot < ended for started, ended in case.gaps["snapshot"])
        if not recorded[slot] and not in_gap:
            verdict.lost.append(f"{case.account.name}: nothing is said of slot {slot}")
        if slot in ok and in_gap and not case.is_in_gap(VAGUE, slot):
            verdict.invented.append(f"{case.account.name}: slot {slot} is ok and in a gap")
        slot += every


def _judge_answers(
    case: Case,
    snapshots: Sequence[asyncpg.Record],
    samples: Iterable[asyncpg.Record],
    verdict: Verdict,
) -> None:
    """Each answer is one ok snapshot with exactly its rows, and each ok snapshot was an answer."""
    recorded: dict[datetime, Samples] = defaultdict(dict)
    for row in samples:
        recorded[row["time"]][row["symbol"], row["position_side"]] = {
            name: value for name, value in row.items() if name not in {"account", "time"}
        }
    answers = [
        answer
        for answer in case.exchange.traffic.answers_of(case.account.name)
        if answer.status == 200 and case.since - _DOUBLE <= answer.sent_at <= case.until + _DOUBLE
    ]
    taken: set[int] = set()
    for snapshot in snapshots:
        if snapshot["outcome"] != "ok":
            continue
        verdict.judged += 1
        said = f"{case.account.name}: snapshot of {snapshot['time']}"
        reach = snapshot["duration"] / 2 + _TRANSIT
        near = [n for n, answer in enumerate(answers) if abs(answer.sent_at - snapshot["taken_at"]) <= reach]
        same = [n for n in near if as_recorded(answers[n].rows or ()) == recorded[snapshot["time"]]]
        if free := [n for n in same if n not in taken]:
            taken.add(free[0])
        elif same:
            verdict.doubled.append(said)
        elif snapshot["taken_at"] > case.since:
            verdict.invented.append(f"{said} is like none of the {len(near)} answers of that time")
    failed = [row for row in snapshots if row["outcome"] in UNANSWERED]
    for number, answer in enumerate(answers):
        if number in taken or not case.since < answer.sent_at <= case.until or _was_too_late(answer, failed):
            continue
        if not case.is_excused("snapshot", answer.sent_at) and not _is_asked_again(case, answer, snapshots):
            verdict.lost.append(f"{case.account.name}: answer of {answer.sent_at}")


def _was_too_late(answer: Served, failed: Iterable[asyncpg.Record]) -> bool:
    return any(abs(row["taken_at"] - answer.sent_at) <= row["duration"] + EVERY for row in failed)


def _is_asked_again(case: Case, answer: Served, snapshots: Iterable[asyncpg.Record]) -> bool:
    """Whether the answer was lost on its way, and the same slot has another."""
    return case.was_away(answer.sent_at) and any(
        row["outcome"] == "ok" and abs(row["taken_at"] - answer.sent_at) <= EVERY for row in snapshots
    )
