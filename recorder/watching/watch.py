"""The watch over the accounts: at each slot every account on duty is asked once, and what came of it is recorded."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Literal

from recorder.binance.client import Client
from recorder.binance.signing import Credentials
from recorder.domain.balance import Balance
from recorder.domain.snapshot import Kind, Outcome, Snapshot
from recorder.recording import Recording
from recorder.watching.asking import take_balances, take_snapshot

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
        settled: Callable[[], Awaitable[None]],
        clock: Callable[[], datetime],
    ) -> None:
        """*balances* are asked for with every snapshot, or as far as there is weight to spare, or not at all.

        *taken* is called with every snapshot that was recorded, also where the account could not be asked.
        *settled* waits until it is known which accounts are on duty, where a standstill may have changed that.
        *clock* tells the time by which slots are due.
        """
        self._accounts = {credentials.account: credentials for credentials in accounts}
        self._client = client
        self._recording = recording
        self._timeout = timeout
        self._balances = balances
        self._taken = taken
        self._settled = settled
        self._clock = clock
        self._on_duty: dict[str, datetime] = {}
        self._slots = 0
        self._finishing = False
        self._in_hand: set[asyncio.Task[None]] = set()
        self._failing: dict[str, Outcome] = {}

    @property
    def failing(self) -> Mapping[str, Outcome]:
        """The accounts on duty whose newest snapshot failed, and how."""
        return dict(self._failing)

    def begin(self, accounts: Iterable[str], time: datetime, kind: Kind) -> None:
        """Put *accounts* on duty, with a first snapshot now whose time is *time*; later slots come by ``on_due``."""
        begun = list(accounts)
        self._on_duty |= dict.fromkeys(begun, time)
        self._hold(asyncio.create_task(self._ask_in_turn(begun, time, kind), name=f"{kind} {time}"))

    def end(self, account: str) -> None:
        """Ask this account no more."""
        self._on_duty.pop(account, None)
        self._failing.pop(account, None)

    def on_due(self, slots: Sequence[datetime]) -> None:
        """Take the snapshots of the last slot, and write down that those before it were missed."""
        self._hold(asyncio.create_task(self._answer(slots), name=f"slot {slots[-1]}"))

    def ask_all_again(self, kind: Kind) -> None:
        """Take a snapshot of every account on duty now, at the stated pace; none any more while finishing."""
        if self._finishing:
            return
        now = self._clock()
        self._hold(asyncio.create_task(self._ask_in_turn(self._in_order(), now, kind), name=f"{kind} {now}"))

    def ask_again(self, account: str, kind: Kind) -> None:
        """Take a snapshot of one account now.

        None is taken any more while finishing: the next start takes an account for watched until its last snapshot, and
        this one would hide the slots before it that nobody answered.
        """
        if not self._finishing:
            self._ask_one(account, self._clock(), kind)

    async def finish(self, patience: timedelta) -> None:
        """Wait for the snapshots in hand; those that take longer than *patience* are given up and say so."""
        self._finishing = True
        if self._in_hand:
            await asyncio.wait(set(self._in_hand), timeout=patience.total_seconds())
        given_up = set(self._in_hand)
        for task in given_up:
            task.cancel()
        await asyncio.gather(*given_up, return_exceptions=True)

    async def _answer(self, slots: Sequence[datetime]) -> None:
        """Every account that was on duty before a slot leaves a row for it."""
        *missed, due = slots
        await self._settled()
        now = self._clock()
        for slot in missed:
            for account in self._due(slot):
                detail = "the process could not run then: the machine slept, or stood still"
                self._failed(account, slot, Kind.SLOT, Outcome.MISSED, detail, taken_at=now)
        await self._ask_in_turn(self._due(due), due, Kind.SLOT)

    def _due(self, slot: datetime) -> list[str]:
        return [account for account in self._in_order() if self._on_duty[account] < slot]

    async def _ask_in_turn(self, accounts: Sequence[str], time: datetime, kind: Kind) -> None:
        for account in accounts:
            if account in self._on_duty:
                self._ask_one(account, time, kind)
                await asyncio.sleep(PACE.total_seconds())

    def _in_order(self) -> list[str]:
        """Who is on duty, each time with another one first where the last may find no weight left for balances."""
        accounts = [account for account in self._accounts if account in self._on_duty]
        if self._balances != "spare" or not accounts:
            return accounts
        first = self._slots % len(accounts)
        self._slots += 1
        return accounts[first:] + accounts[:first]

    def _ask_one(self, account: str, time: datetime, kind: Kind) -> None:
        task = asyncio.create_task(self._ask(account, time, kind), name=f"snapshot of {account}")
        task.add_done_callback(partial(self._leave_a_row, account, time, kind))
        self._hold(task)

    async def _ask(self, account: str, time: datetime, kind: Kind) -> None:
        late = self._clock() - time
        credentials = self._accounts[account]
        snapshot, (outcome, balances) = await asyncio.gather(
            take_snapshot(
                account,
                time,
                kind,
                partial(self._client.positions, credentials, self._timeout),
                now=self._clock,
                detail=f"asked {late.total_seconds():.1f} s late" if late > _LATE else "",
            ),
            self._take_balances(credentials),
        )
        if snapshot.ok:
            snapshot = replace(snapshot, balance_outcome=outcome, balances=balances)
        self._record(snapshot)

    async def _take_balances(self, credentials: Credentials) -> tuple[Outcome | None, tuple[Balance, ...]]:
        if self._balances == "never":
            return None, ()
        spare = self._balances == "spare"
        return await take_balances(partial(self._client.balances, credentials, BALANCES_WITHIN, spare=spare))

    def _hold(self, task: asyncio.Task[None]) -> None:
        self._in_hand.add(task)
        task.add_done_callback(self._release)

    def _release(self, task: asyncio.Task[None]) -> None:
        self._in_hand.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("%s broke; please report this", task.get_name(), exc_info=error)

    def _leave_a_row(self, account: str, time: datetime, kind: Kind, task: asyncio.Task[None]) -> None:
        """Record what only the end of the task tells: that it was given up, or broke in a way nobody foresaw."""
        now = self._clock()
        if task.cancelled():
            detail = "the service was stopped before the answer came"
            self._failed(account, time, kind, Outcome.STOPPED, detail, taken_at=now)
        elif error := task.exception():
            self._failed(account, time, kind, Outcome.INTERNAL_ERROR, type(error).__name__, taken_at=now)

    def _failed(
        self, account: str, time: datetime, kind: Kind, outcome: Outcome, detail: str, *, taken_at: datetime
    ) -> None:
        self._record(Snapshot(account=account, time=time, kind=kind, taken_at=taken_at, outcome=outcome, detail=detail))

    def _record(self, snapshot: Snapshot) -> None:
        self._tell(snapshot)
        self._recording.record(snapshot)
        self._taken(snapshot)

    def _tell(self, snapshot: Snapshot) -> None:
        """Log when an account begins to fail, fails otherwise, or is well again; not at every slot."""
        if snapshot.account not in self._on_duty:
            return
        before = self._failing.get(snapshot.account)
        if snapshot.ok:
            if self._failing.pop(snapshot.account, None):
                log.warning("%s answers again", snapshot.account)
        elif snapshot.outcome is not before:
            self._failing[snapshot.account] = snapshot.outcome
            log.error("no snapshot of %s: %s: %s", snapshot.account, snapshot.outcome, snapshot.detail)
