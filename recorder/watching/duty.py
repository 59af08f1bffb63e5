"""Duty: all that this instance does for one account while no other does it."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from recorder.binance.client import Client
from recorder.binance.signing import Credentials
from recorder.domain.beginning import Beginning
from recorder.domain.gap import Gap, GapReason, GapSource
from recorder.domain.slot import slot_at
from recorder.domain.snapshot import Kind, Snapshot
from recorder.domain.stream import StreamState
from recorder.metrics import Metrics
from recorder.postgres.beginnings import OF_WATCHING
from recorder.postgres.gaps import LastWatched
from recorder.process.supervision import Supervision
from recorder.recording import Recording
from recorder.watching.emptiness import Emptiness
from recorder.watching.listening import Listening
from recorder.watching.sampling import Sampling
from recorder.watching.watch import Watch

_CONNECTING = timedelta(seconds=10)
"""A stream that tells nothing for longer after the beginning leaves a gap, also where nothing was recorded before."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What the duties for all accounts have in common."""

    client: Client
    recording: Recording
    watch: Watch
    supervision: Supervision
    metrics: Metrics
    learned_secret: Callable[[str], None]
    every: timedelta
    stream: bool
    clock: Callable[[], datetime]


class Duty:
    """Listens to one account and takes note of what came of its slots, which the watch asks for.

    Attributes:
        beginning: When it began, and why nobody watched right before.
    """

    def __init__(self, credentials: Credentials, tools: Tools, *, since: datetime, reason: GapReason) -> None:
        """*since* is when the first snapshot is due."""
        self.account = credentials.account
        self.beginning = Beginning(account=self.account, since=since, began=tools.clock(), reason=reason)
        self._tools = tools
        tools.recording.record_beginning(self.beginning)
        self._sampling = Sampling(
            self.account,
            tools.recording,
            since=since,
            banned=lambda: tools.client.status().paused_until is not None,
        )
        self._listening = Listening(
            self.account,
            tools.recording,
            reconnected=partial(tools.watch.ask_again, kind=Kind.RECONNECT),
            dated=tools.metrics.dated,
        )
        self._emptiness = Emptiness(
            self.account,
            told_flat=self._listening.told_flat,
            at_least=1 if tools.stream else 2,  # without a stream nothing ever tells of a close
            looked=tools.metrics.looked_empty,
        )
        self._stream = tools.client.stream(
            credentials,
            deliver=self._listening.deliver,
            changed=self._listening.changed,
            learned_secret=tools.learned_secret,
        )
        self._work = f"stream of {self.account}"
        if tools.stream:
            tools.supervision.start(self._work, self._stream.run)

    def end(self) -> None:
        """Do no more, because somebody else does it: that is no gap."""
        self._listening.end()
        self._tools.supervision.leave(self._work)

    def stop(self) -> None:
        """Do no more, and say since when nobody does."""
        self._sampling.stop()
        self._listening.stop(self._tools.clock())
        self._tools.supervision.leave(self._work)

    def taken(self, snapshot: Snapshot) -> None:
        """Take note of what came of asking; a stream that a snapshot proves dead is renewed."""
        self._sampling.note(snapshot)
        self._emptiness.note(snapshot)
        if not self._tools.stream:
            return
        if snapshot.taken_at - self.beginning.since > _CONNECTING:
            self._listening.expected_since(self.beginning.since)
        if snapshot.ok and self._listening.is_dead(snapshot):
            self._stream.renew()

    @property
    def stream_waits(self) -> str:
        """Why no events come in that should; empty while they do, or where none are wanted."""
        status = self._stream.status()
        if status.connected or not self._tools.stream:
            return ""
        return status.last_error or "waits for a connection"

    def awoke(self, asleep_since: datetime) -> None:
        """Renew the stream after the process stood still: the other side may have given it up meanwhile."""
        self._stream.awoke(asleep_since)

    def own_up(self, last: LastWatched | None, gaps: Sequence[Gap]) -> None:
        """Say what was not covered between what the tables have of the account and the beginning of this duty."""
        every = (last and last.every) or self._tools.every
        watched = (last.last_ok or last.last_snapshot) if last else None
        missed = watched is not None and slot_at(watched, every) + every < self.beginning.since
        before = [gap for gap in gaps if gap.started_at < self.beginning.began]
        sampled = [gap for gap in before if gap.source is GapSource.SNAPSHOT]
        self._sampling.take_over(sampled, last_ok=last.last_ok if last else None, missed=missed)
        if watched and missed:
            log.warning("%s was not watched from %s to %s", self.account, watched, self.beginning.since)
            if not sampled:
                self._sampling.not_covered_since(watched, self.beginning.reason)
        heard = [gap for gap in before if gap.source is GapSource.STREAM]
        if self._tools.stream:
            self._listening.take_over(heard)
            if last and not heard:
                self._listening.not_covered_since(last.last_listened, self.beginning.reason)
        elif last and last.was_listened_to:
            self._own_up_to_no_stream(last, heard)

    def _own_up_to_no_stream(self, last: LastWatched, gaps: Sequence[Gap]) -> None:
        """Say since when nobody is meant to listen: until somebody does again, that is one gap."""
        self._tools.recording.record_stream_state(StreamState(self.account, "disabled", last.last_listened))
        if not gaps:
            self._tools.recording.record_gap(
                Gap(
                    account=self.account,
                    source=GapSource.STREAM,
                    started_at=last.last_listened,
                    ended_at=None,
                    reason=self.beginning.reason,
                )
            )

    def take_over(self, gaps: Sequence[Gap]) -> None:
        """End what is open in the tables and not known here: another recorder that watched before wrote it late."""
        left = [gap for gap in gaps if gap.reason in OF_WATCHING]
        self._sampling.take_over([gap for gap in left if gap.source is GapSource.SNAPSHOT], last_ok=None, missed=True)
        if self._tools.stream:
            self._listening.take_over([gap for gap in left if gap.source is GapSource.STREAM])
