"""Whether the schedule fits into the request weight that this process may use."""

from datetime import timedelta
from math import ceil

from recorder.config.duration import format_duration
from recorder.config.problem import InvalidSetting
from recorder.domain.slot import DAY, divides_a_day

SNAPSHOT_WEIGHT = 5  # of v2/account.position, by the exchange's documentation
ALLOWANCE = 20  # a minute: one handshake (5), one measurement of the clock (twice 5) and one repeated request (5)
_MINUTE = timedelta(minutes=1)


def check_weight(*, accounts: int, every: timedelta, budget: int) -> None:
    """Raise InvalidSetting when *accounts* snapshots *every* so often need more than *budget* weight a minute."""
    needed = ceil(accounts * SNAPSHOT_WEIGHT * (_MINUTE / every)) + ALLOWANCE
    if accounts == 0 or needed <= budget:
        return
    fixes = [f"exchange.weight_budget to at least {needed}"]
    slowest = _shortest_that_fits(accounts=accounts, every=every, budget=budget)
    if slowest is not None:
        fixes.insert(0, f'snapshot.every to at least "{format_duration(slowest)}"')
    raise InvalidSetting(
        f"The schedule needs {needed} request weight a minute, more than exchange.weight_budget = {budget}: "
        f"{accounts} accounts x {SNAPSHOT_WEIGHT} every {format_duration(every)}, "
        f"and {ALLOWANCE} for connections, clock and repeats",
        why="Slots would be late or missed, more of them every minute.",
        fix=f"Raise {' or '.join(fixes)}.",
    )


def _shortest_that_fits(*, accounts: int, every: timedelta, budget: int) -> timedelta | None:
    if budget <= ALLOWANCE:
        return None
    least = max(every, accounts * SNAPSHOT_WEIGHT * _MINUTE / (budget - ALLOWANCE))
    seconds = ceil(least / timedelta(seconds=1))
    whole = (timedelta(seconds=count) for count in range(seconds, DAY // timedelta(seconds=1) + 1))
    return next((candidate for candidate in whole if divides_a_day(candidate)), None)
