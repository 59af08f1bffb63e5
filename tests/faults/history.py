"""What the stream told, against the changes, fills and balances that were recorded."""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from recorder.simulator.account import Account
from tests.faults.verdict import Case, Verdict
from tests.service.rows import as_recorded, digits

Rows = Sequence[asyncpg.Record]
Told = dict[Any, set[Any]]
"""What was told under each key."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DOUBLE = timedelta(seconds=1)


def judge_events(case: Case, verdict: Verdict, *, fills: Rows, changes: Rows, balances: Rows) -> None:
    """Everything that happened is recorded with the digits of its event, and nothing else is."""
    recorded: dict[str, list[tuple[Any, Any]]] = {
        "fill": [((row["symbol"], row["trade_id"]), _fill(row)) for row in fills],
        "state": [(((row["symbol"], row["position_side"]), row["update_time"]), row) for row in changes],
        "balance": [
            ((row["asset"], row["time"], row["event_time"]), (row["wallet_balance"], row["balance_change"]))
            for row in balances
        ],
    }
    keys = {what: {key for key, _ in rows} for what, rows in recorded.items()}
    told: dict[str, Told] = {what: defaultdict(set) for what in keys}
    for event in case.exchange.world.events(case.account):
        for what, key, value in _told(json.loads(event.text)) if event.time <= case.until else ():
            told[what][key].add(value)
            verdict.judged += event.time > case.since
            if event.time > case.since and key not in keys[what] and not case.is_excused_event(event):
                verdict.lost.append(f"{case.account.name}: {what} {key} {value}")
    for what in ("fill", "balance"):
        verdict.invented += [
            f"{case.account.name}: {what} {key} {value}, told was {told[what][key]}"
            for key, value in recorded[what]
            if value not in told[what][key]
        ]
    histories: dict[Any, list[asyncpg.Record]] = defaultdict(list)
    for (key, _), row in recorded["state"]:
        histories[key].append(row)
    for key, rows in histories.items():
        _judge_history(case, verdict, key, rows, told["state"])


def _judge_history(case: Case, verdict: Verdict, key: tuple[str, Any], changes: Rows, told: Told) -> None:
    """Each change was told by the stream, was in an answer, or is a close that happened; and none is there twice."""
    shown = [
        (answer.sent_at, row)
        for answer in case.exchange.traffic.answers_of(case.account.name)
        if (row := as_recorded(answer.rows or ()).get(key))
    ]
    answered = {
        (row["update_time"], row["position_amt"], row["entry_price"])  # 1970 where the exchange does not date it
        for _, row in shown
    }
    before: asyncpg.Record | None = None
    for change in changes:
        value = change["position_amt"], change["entry_price"]
        said = f"{case.account.name}: {change['source']} change of {key} at {change['update_time']} to {value}"
        match change["source"]:
            case "stream":
                known = value in told.get((key, change["update_time"]), ())
            case "snapshot":
                known = not {(change["update_time"], *value), (_EPOCH, *value)}.isdisjoint(answered)
                # One that is older than what the stream told is dated by the answer that shows it all the same.
                known = known or any(
                    abs(at - change["observed_at"]) <= _DOUBLE and (row["position_amt"], row["entry_price"]) == value
                    for at, row in shown
                )
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
        case {"e": "ACCOUNT_UPDATE", "T": time, "E": event_time, "a": change}:
            for row in change.get("P", []):
                yield "state", ((row["s"], row["ps"]), _instant(time)), (digits(row["pa"]), digits(row["ep"]))
            for row in change["B"]:
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
        case _:
            pass  # a setting was changed, an order placed


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
