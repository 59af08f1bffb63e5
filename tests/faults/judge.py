"""The judge: what the exchange served and what really happened, against what was recorded of it.

Every second of every account is either recorded or named in ``bi.gap``, and a gap needs a reason: what is missing
while the recorder could see is lost, even where a gap is put over it.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from recorder.simulator.account import Account
from recorder.simulator.exchange import Simulator
from recorder.simulator.traffic import Served
from tests.service.rows import Samples, as_recorded, digits

EVERY = timedelta(seconds=1)
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

Interval = tuple[datetime, datetime]


@dataclass(slots=True)
class Verdict:
    """What is wrong, in words; nothing is wrong when all three are empty.

    Attributes:
        judged: How many snapshots, fills, changes and balances were held against the truth.
    """

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    invented: list[str] = field(default_factory=list)
    judged: int = 0

    @property
    def ok(self) -> bool:
        return not (self.lost or self.doubled or self.invented)

    def __str__(self) -> str:
        found = {"lost": self.lost, "doubled": self.doubled, "invented": self.invented}
        return "\n".join(f"{kind}: {each}" for kind, all_ in found.items() for each in all_) or "nothing is wrong"


@dataclass(frozen=True, slots=True)
class _Case:
    """Everything there is about one account, from *since* to *until*."""

    account: Account
    since: datetime
    until: datetime
    away: Sequence[Interval]
    gaps: Mapping[str, Sequence[Interval]]
    sent: frozenset[str]

    def is_excused(self, source: str, moment: datetime, told: str | None = None) -> bool:
        """Whether what is missing was not seen for a good reason, and is in a gap of that *source*.

        *told* is the text of the event about it: what was never sent on a stream could not be seen.
        """
        in_gap = any(started <= moment <= ended for started, ended in self.gaps[source])
        return in_gap and (told is not None and told not in self.sent or self.was_away(moment))

    def was_away(self, moment: datetime) -> bool:
        return any(since <= moment <= until for since, until in self.away)


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
        intervals: dict[str, list[Interval]] = {"snapshot": [], "stream": []}
        for gap in gaps[name]:
            intervals[gap["source"]].append((gap["started_at"], gap["ended_at"] or until))
        case = _Case(account, since, until, away, intervals, frozenset(sent[name]))
        _judge_gaps(case, gaps[name], verdict)
        _judge_slots(case, rows["snapshots"][name], every, verdict)
        _judge_answers(case, rows["snapshots"][name], rows["samples"][name], exchange, verdict)
        _judge_events(case, rows, exchange, verdict)
    return verdict


async def _by_account(connection: asyncpg.Connection, sql: str, *given: Any) -> dict[str, list[asyncpg.Record]]:
    rows: dict[str, list[asyncpg.Record]] = defaultdict(list)
    for row in await connection.fetch(sql, *given):
        rows[row["account"]].append(row)
    return rows


def _judge_gaps(case: _Case, gaps: Iterable[asyncpg.Record], verdict: Verdict) -> None:
    """A gap needs a reason, and an end once everything is well."""
    for gap in gaps:
        said = f"{case.account.name}: gap of {gap['source']}, {gap['reason']}, {gap['started_at']} … {gap['ended_at']}"
        if gap["ended_at"] is None:
            verdict.lost.append(f"{said}: has no end")
        elif gap["ended_at"] > case.since and not any(
            since <= gap["ended_at"] and gap["started_at"] <= until for since, until in case.away
        ):
            verdict.lost.append(f"{said}: the recorder could see then")


def _judge_slots(case: _Case, rows: Iterable[asyncpg.Record], every: timedelta, verdict: Verdict) -> None:
    """Each slot has exactly one row, or is in a gap."""
    recorded = Counter(row["time"] for row in rows)
    slot = _EPOCH + -(-(case.since - _EPOCH) // every) * every
    while slot <= case.until - every:
        in_gap = any(started < slot < ended for started, ended in case.gaps["snapshot"])
        if not recorded[slot] and not in_gap:
            verdict.lost.append(f"{case.account.name}: nothing is said of slot {slot}")
        if recorded[slot] and in_gap:
            verdict.invented.append(f"{case.account.name}: slot {slot} is recorded and in a gap")
        slot += every


def _judge_answers(
    case: _Case,
    snapshots: Sequence[asyncpg.Record],
    samples: Iterable[asyncpg.Record],
    exchange: Simulator,
    verdict: Verdict,
) -> None:
    """Each answer is one ok snapshot with exactly its rows, and each ok snapshot was an answer."""
    recorded: dict[datetime, Samples] = defaultdict(dict)
    for row in samples:
        recorded[row["time"]][row["symbol"], row["position_side"]] = {
            name: row[name]
            for name in row.keys()
            if name not in {"account", "time"}  # noqa: SIM118 - a record
        }
    answers = [
        answer
        for answer in exchange.traffic.answers_of(case.account.name)
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


def _is_asked_again(case: _Case, answer: Served, snapshots: Iterable[asyncpg.Record]) -> bool:
    """Whether the answer was lost on its way, and the same slot has another."""
    return case.was_away(answer.sent_at) and any(
        row["outcome"] == "ok" and abs(row["taken_at"] - answer.sent_at) <= EVERY for row in snapshots
    )


def _judge_events(
    case: _Case, rows: Mapping[str, Mapping[str, Sequence[asyncpg.Record]]], exchange: Simulator, verdict: Verdict
) -> None:
    """Everything that happened is recorded with the digits of its event, and nothing else is."""
    name = case.account.name
    fills: dict[Any, set[Any]] = defaultdict(set)
    states: dict[Any, set[Any]] = defaultdict(set)
    balances: dict[Any, set[Any]] = defaultdict(set)
    recorded_fills = {(row["symbol"], row["trade_id"]): _fill(row) for row in rows["fills"][name]}
    recorded_changes: dict[Any, list[asyncpg.Record]] = defaultdict(list)
    for row in rows["changes"][name]:
        recorded_changes[row["symbol"], row["position_side"]].append(row)
    recorded_balances = Counter(
        (row["asset"], row["time"], row["event_time"], row["wallet_balance"], row["balance_change"])
        for row in rows["balances"][name]
    )
    dated = {
        (key, row["update_time"]): (row["position_amt"], row["entry_price"])
        for key, all_ in recorded_changes.items()
        for row in all_
    }
    for event in exchange.world.events(case.account):
        if event.time > case.until:
            continue
        message, wanted = json.loads(event.text), event.time > case.since
        for what, key, value in _told(message):
            {"fill": fills, "state": states, "balance": balances}[what][key].add(value)
            if not wanted:
                continue
            verdict.judged += 1
            is_recorded = {
                "fill": key in recorded_fills,
                "state": key in dated,
                "balance": recorded_balances[(*key, *value)] > 0,
            }[what]
            if not is_recorded and not case.is_excused("stream", event.time, event.text):
                verdict.lost.append(f"{name}: {what} {key} {value}")
    for key, value in recorded_fills.items():
        if value not in fills[key]:
            verdict.invented.append(f"{name}: fill {key} {value}, told was {fills[key]}")
    for balance in recorded_balances:
        if balance[3:] not in balances[balance[:3]]:
            verdict.invented.append(f"{name}: balance {balance}")
    _judge_history(case, recorded_changes, states, exchange, verdict)


def _judge_history(
    case: _Case,
    recorded: Mapping[Any, Sequence[asyncpg.Record]],
    states: Mapping[Any, set[Any]],
    exchange: Simulator,
    verdict: Verdict,
) -> None:
    """Each change was told by the stream, was in an answer, or is a close that happened; and none is there twice."""
    answered = {
        (key, row["update_time"], row["position_amt"], row["entry_price"])  # 1970 where the exchange does not date it
        for answer in exchange.traffic.answers_of(case.account.name)
        for key, row in as_recorded(answer.rows or ()).items()
    }
    for key, changes in recorded.items():
        before: asyncpg.Record | None = None
        for change in changes:
            value = change["position_amt"], change["entry_price"]
            said = f"{case.account.name}: {change['source']} change of {key} at {change['update_time']} to {value}"
            match change["source"]:
                case "stream":
                    known = value in states.get((key, change["update_time"]), ())
                case "snapshot":
                    known = not {(key, change["update_time"], *value), (key, _EPOCH, *value)}.isdisjoint(answered)
                case _:
                    known = not float(value[0]) and _was_flat(case.account, key, change["observed_at"])
            if not known:
                verdict.invented.append(said)
            if (
                before is not None
                and (before["position_amt"], before["entry_price"]) == value
                and change["update_time"] - before["update_time"] < _DOUBLE
                and before["source"] != change["source"]
            ):
                verdict.doubled.append(f"{said}, {before['source']} already at {before['update_time']}")
            before = change


def _was_flat(account: Account, key: tuple[str, Any], about: datetime) -> bool:
    """Whether the position was flat at some moment *about* then."""
    held = account.truth.position(*key, about - _DOUBLE)
    return (
        held is None
        or not held.amount
        or any(
            (state.symbol, state.position_side) == key
            and not state.amount
            and state.update_time is not None
            and abs(state.update_time - about) <= _DOUBLE
            for state in account.truth.states
        )
    )


def _told(message: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Yield what an event says: what it is about, the key of its row, and the values, numbers as PostgreSQL's text."""
    match message:
        case {"e": "ACCOUNT_UPDATE", "T": time, "E": event_time, "a": {"B": assets, **rest}}:
            for row in rest.get("P", []):
                key = (row["s"], row["ps"]), _instant(time)
                yield "state", key, (digits(row["pa"]), digits(row["ep"]))
            for row in assets:
                key = row["a"], _instant(time), _instant(event_time)
                yield "balance", key, (digits(row["wb"]), digits(row["bc"]))
        case {"e": "ORDER_TRADE_UPDATE", "o": {"x": "TRADE" | "CALCULATED"} as order}:
            yield (
                "fill",
                (order["s"], order["t"]),
                (
                    _instant(order["T"]),
                    digits(order["L"]),
                    digits(order["l"]),
                    digits(order["rp"]),
                    digits(order["n"]),
                    order["N"],
                    order["S"],
                    order["m"],
                ),
            )


def _fill(row: asyncpg.Record) -> tuple[Any, ...]:
    return (
        row["time"],
        row["price"],
        row["quantity"],
        row["realized_profit"],
        row["commission"],
        row["commission_asset"],
        row["side"],
        row["maker"],
    )


def _instant(milliseconds: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=milliseconds)
