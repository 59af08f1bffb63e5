"""Pausing between tries of what keeps failing."""

import random

_FIRST = 0.1
_DOUBLINGS = 20  # an outage of days must not overflow


def pause_after(failures: int, *, longest: float) -> float:
    """Return the seconds to wait after so many failures in a row: doubling from 0.1 up to *longest*, with jitter."""
    ceiling = min(longest, _FIRST * 2 ** min(failures - 1, _DOUBLINGS))
    return random.uniform(ceiling / 2, ceiling)  # noqa: S311 - not secret
