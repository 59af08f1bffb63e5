"""Emptiness: all positions of an account are gone at once, and nothing told of their closes."""

import logging
from collections.abc import Callable
from collections.abc import Set as AbstractSet

from recorder.domain.position import Key
from recorder.domain.snapshot import Snapshot

log = logging.getLogger(__name__)


class Emptiness:
    """Says so when an account suddenly looks empty: it may be, or the exchange left everything out of its answer."""

    def __init__(
        self, account: str, *, told_flat: Callable[[Key], bool], at_least: int, looked: Callable[[str], None]
    ) -> None:
        """*told_flat* is asked whether a position's close was told; fewer positions than *at_least* may go unnoticed.

        *looked* is told the account each time.
        """
        self._account = account
        self._told_flat = told_flat
        self._at_least = at_least
        self._looked = looked
        self._before: AbstractSet[Key] = frozenset()

    def note(self, snapshot: Snapshot) -> None:
        """Take note of the next snapshot; one that failed says nothing."""
        if not snapshot.ok:
            return
        before, self._before = self._before, {each.key for each in snapshot.positions if each.is_open}
        if self._before or len(before) < self._at_least or any(self._told_flat(key) for key in before):
            return
        self._looked(self._account)
        log.error(
            "%s looks empty at %s: all %d positions are missing in a complete answer and nothing told of it. "
            "They are recorded as closed; if they come back as they were, that is marked. Look at the exchange.",
            self._account, snapshot.time, len(before),
        )  # fmt: skip
