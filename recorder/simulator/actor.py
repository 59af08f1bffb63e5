"""Whoever makes something happen in the world."""

from datetime import datetime
from typing import Protocol


class Actor(Protocol):
    """A trader, or a part of the exchange that works by itself."""

    def next(self, after: datetime) -> datetime:
        """Return the next moment to act, after the present one."""

    def act(self, now: datetime) -> None:
        """Do what is to be done at this moment."""
