"""The watch over the accounts: at each slot every account is asked once, and what came of it is recorded."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Literal

from recorder.asking import take_balances, take_snapshot
from recorder.binance.client import Client
from recorder.binance.signing import Credentials
from recorder.domain.balance import Balance
from recorder.domain.snapshot import Kind, Outcome, Snapshot
from recorder.recording import Recording

PACE = timedelta(milliseconds=5)
"""The accounts of a slot are asked one after the other at this distance: at most 200 a second."""

BALANCES_WITHIN = timedelta(seconds=2)
"""Balances are no reason to wait longer than this with positions that have come."""

_LATE = timedelta(seconds=1)

log = logging.getLogger(__name__)


class Watch:
    """Asks the accounts of a slot without waiting for one another, so that none can hold up another.

    Each account that is asked leaves exactly one snapshot, also when it fails in a way nobody foresaw.
    """

    def __init__(
        self,
        accounts: Sequence[Credentials],
        client: Client,
        recording: Recording,
        *,
        timeout: timedelta,
        balances: Literal["always", "spare", "never"],
        taken: Callable[[Snapshot], None],
    ) -> None:
        """*balances* are asked for with every snapshot, or as far as there is weight to spare, or not at all.

        *taken* is called with every snapshot that an account was asked for.
        """
        self._accounts = {credentials.account: credentials for credentials in accounts}
        self._client = client
        self._recording = recording
        self._timeout = timeout
        self._balances = balances
        self._taken = taken
        self._slots = 0
        self._finishing = False
        self._in_hand: set[asyncio.Task[None]] = set()
        self._failing: dict[str, Outcome] = {}

    @property
    def failing(self) -> Mapping[str, Outcome]:
        """The accounts whose newest snapshot failed, and how."""
        return dict(self._failing)

    def on_due(self, slots: Sequence[datetime]) -> None:
        """Take the snapshots of the last slot, and write down that those before it were missed."""
        *missed, due = slots
        now = datetime.now(UTC)
        for slot in missed:
            for account in self._accounts:
                detail = "the process could not run then: the machine slept, or its clock was set forward"
                self._failed(account, slot, Kind.SLOT, Outcome.MISSED, detail, taken_at=now)
        self.ask_all(due, Kind.SLOT)

    def ask_all(self, time: datetime, kind: Kind) -> None:
        """Take a snapshot of every account, at the stated pace."""
        self._hold(asyncio.create_task(self._ask_in_turn(time, kind), name=f"{kind} {time}"))

    def ask_again(self, account: str, kind: Kind) -> None:
        """Take a snapshot of one account now.

        None is taken any more while finishing: the next start takes an account for watched until its last snapshot, and
        this one would hide the slots before it that nobody answered.
        """
        if not self._finishing:
            self._ask_one(account, datetime.now(UTC), kind)

    async def finish(self, patience: timedelta) -> None:
        """Wait for the snapshots in hand; those that take longer than *patience* are given up and say so."""
        self._finishing = True
        if self._in_hand:
            await asyncio.wait(set(self._in_hand), timeout=patience.total_seconds())
        given_up = set(self._in_hand)
        for task in given_up:
            task.cancel()
        await asyncio.gather(*given_up, return_exceptions=True)

    async def _ask_in_turn(self, time: datetime, kind: Kind) -> None:
        for account in self._in_order():
            self._ask_one(account, time, kind)
            await asyncio.sleep(PACE.total_seconds())

    def _in_order(self) -> list[str]:
        """The accounts, each time with another one first where the last may find no weight left for balances."""
        accounts = list(self._accounts)
        if self._balances != "spare":
            return accounts
        first = self._slots % len(accounts)
        self._slots += 1
        return accounts[first:] + accounts[:first]

    def _ask_one(self, account: str, time: datetime, kind: Kind) -> None:
        task = asyncio.create_task(self._ask(account, time, kind), name=f"snapshot of {account}")
        task.add_done_callback(partial(self._leave_a_row, account, time, kind))
        self._hold(task)

    async def _ask(self, account: str, time: datetime, kind: Kind) -> None:
        late = datetime.now(UTC) - time
        credentials = self._accounts[account]
        snapshot, (outcome, balances) = await asyncio.gather(
            take_snapshot(
                account,
                time,
                kind,
                partial(self._client.positions, credentials, self._timeout),
                detail=f"asked {late.total_seconds():.1f} s late" if late > _LATE else "",
            ),
            self._take_balances(credentials),
        )
        if snapshot.ok:
            snapshot = replace(snapshot, balance_outcome=outcome, balances=balances)
        self._tell(snapshot)
        self._recording.record(snapshot)
        self._taken(snapshot)

    async def _take_balances(self, credentials: Credentials) -> tuple[Outcome | None, tuple[Balance, ...]]:
        if self._balances == "never":
            return None, ()
        spare = self._balances == "spare"
        return await take_balances(partial(self._client.balances, credentials, BALANCES_WITHIN, spare=spare))

    def _hold(self, task: asyncio.Task[None]) -> None:
        self._in_hand.add(task)
        task.add_done_callback(self._in_hand.discard)

    def _leave_a_row(self, account: str, time: datetime, kind: Kind, task: asyncio.Task[None]) -> None:
        """Record what only the end of the task tells: that it was given up, or broke in a way nobody foresaw."""
        now = datetime.now(UTC)
        if task.cancelled():
            detail = "the service was stopped before the answer came"
            self._failed(account, time, kind, Outcome.STOPPED, detail, taken_at=now)
        elif error := task.exception():
            log.error("the snapshot of %s broke; please report this", account, exc_info=error)
            self._failed(account, time, kind, Outcome.INTERNAL_ERROR, type(error).__name__, taken_at=now)

    def _failed(
        self, account: str, time: datetime, kind: Kind, outcome: Outcome, detail: str, *, taken_at: datetime
    ) -> None:
        self._recording.record(
            Snapshot(account=account, time=time, kind=kind, taken_at=taken_at, outcome=outcome, detail=detail)
        )

    def _tell(self, snapshot: Snapshot) -> None:
        """Log when an account begins to fail, fails otherwise, or is well again; not at every slot."""
        before = self._failing.get(snapshot.account)
        if snapshot.ok:
            if self._failing.pop(snapshot.account, None):
                log.warning("%s answers again", snapshot.account)
        elif snapshot.outcome is not before:
            self._failing[snapshot.account] = snapshot.outcome
            log.error("no snapshot of %s: %s: %s", snapshot.account, snapshot.outcome, snapshot.detail)
