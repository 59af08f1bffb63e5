"""Asking an account once: every way the exchange can fail becomes an outcome."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from recorder.binance.client import PositionsAnswer
from recorder.domain.balance import Balance
from recorder.domain.snapshot import Kind, Outcome, Snapshot
from recorder.exceptions import (
    AccountRejected,
    AnswerTimeout,
    ClockRejected,
    ExchangeError,
    ExchangeUnavailable,
    MalformedAnswer,
    RateLimited,
    RequestRejected,
)
from recorder.process.clock import steady

_OUTCOMES: tuple[tuple[type[ExchangeError], Outcome], ...] = (
    (AnswerTimeout, Outcome.TIMEOUT),
    (ExchangeUnavailable, Outcome.UNREACHABLE),
    (RateLimited, Outcome.RATE_LIMITED),
    (ClockRejected, Outcome.CLOCK),
    (AccountRejected, Outcome.ACCOUNT_REJECTED),
    (RequestRejected, Outcome.REQUEST_REJECTED),
    (MalformedAnswer, Outcome.MALFORMED),
)


async def take_snapshot(
    account: str,
    time: datetime,
    kind: Kind,
    ask: Callable[[], Awaitable[PositionsAnswer]],
    *,
    now: Callable[[], datetime],
    detail: str = "",
) -> Snapshot:
    """Ask for an account's positions and return what came of it; every way the exchange can fail is an outcome.

    *now* tells the time at which it was given up.
    """
    started = steady()
    try:
        answer = await ask()
    except ExchangeError as error:
        return Snapshot(
            account=account,
            time=time,
            kind=kind,
            taken_at=now(),
            duration=timedelta(seconds=steady() - started),
            outcome=_outcome(error),
            detail="; ".join(filter(None, (error.what, error.why, error.fix, detail))),
        )
    return Snapshot(
        account=account,
        time=time,
        kind=kind,
        taken_at=answer.taken_at,
        duration=answer.duration,
        clock_offset=answer.clock_offset,
        detail=detail,
        positions=answer.positions,
    )


async def take_balances(
    ask: Callable[[], Awaitable[tuple[Balance, ...]]],
) -> tuple[Outcome | None, tuple[Balance, ...]]:
    """Ask for an account's balances and return what came of it; ``None`` when there was no weight to spare for it."""
    try:
        return Outcome.OK, await ask()
    except RateLimited:
        return None, ()
    except ExchangeError as error:
        return _outcome(error), ()


def _outcome(error: ExchangeError) -> Outcome:
    return next(outcome for failure, outcome in _OUTCOMES if isinstance(error, failure))
