"""Vitals: how the service is doing, for whoever asks over HTTP."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from recorder.binance.client import Client
from recorder.metrics import Metrics
from recorder.postgres.leadership import Leadership
from recorder.process.pulse import Pulse
from recorder.process.supervision import Supervision
from recorder.process.upkeep import LASTING, Upkeep
from recorder.recording import Recording
from recorder.watching.duty import Duty
from recorder.watching.watch import Watch
from recorder.web.app import Report


class Vitals:
    """Answers from what the parts of the service know of themselves; no database is asked."""

    def __init__(
        self,
        accounts: Sequence[str],
        *,
        every: timedelta,
        supervision: Supervision,
        leadership: Leadership,
        watch: Watch,
        recording: Recording,
        upkeep: Upkeep,
        duties: Mapping[str, Duty],
        clock: Callable[[], datetime],
    ) -> None:
        self._accounts = accounts
        self._every = every
        self._supervision = supervision
        self._leadership = leadership
        self._watch = watch
        self._recording = recording
        self._upkeep = upkeep
        self._duties = duties
        self._clock = clock

    def health(self) -> Report:
        """Whether every task of the process runs, or at least does not keep breaking."""
        return Report(self._supervision.well, self._supervision.report())

    def readiness(self) -> Report:
        """Whether data flows: every account's newest committed ok snapshot is younger than two slots.

        Where another recorder watches, what it wrote counts, by what was last seen of it. Background work that cannot
        be done and streams that wait are told as well, and do not make the service unready: data flows without them.
        """
        status, now = self._recording.status, self._clock()
        reasons: dict[str, str] = {}
        led = 0
        for account in self._accounts:
            led += account in self._leadership.leads
            if account in self._leadership.leads:
                if late := self._late(status.committed_ok.get(account), now, 2 * self._every):
                    failing = self._watch.failing.get(account)
                    reasons[account] = late + (f"; {failing}" if failing else "")
            elif late := self._late(self._leadership.newest.get(account), now, 3 * self._every):
                reasons[account] = f"{late}, by the recorder that this one stands by for"
        if reasons and (error := status.error or self._leadership.error):
            reasons["database"] = error
        if status.backlog.trouble:
            reasons["spool"] = status.backlog.trouble
        if status.letting_go:
            reasons["let go"] = "neither the spool nor the memory has room: what is observed is let go"
        ready = not reasons
        return Report(ready, reasons | self._undone() | self._waiting(), standby=ready and not led)

    def _undone(self) -> dict[str, str]:
        undone = self._upkeep.reasons
        if self._leadership.blind_for >= LASTING:
            undone["leadership"] = f"it cannot be seen whether another recorder is at work: {self._leadership.error}"
        return undone

    def _waiting(self) -> dict[str, str]:
        return {f"stream of {name}": why for name, duty in self._duties.items() if (why := duty.stream_waits)}

    def _late(self, newest: datetime | None, now: datetime, allowed: timedelta) -> str:
        if newest is None:
            return "newest snapshot: none yet"
        age = now - newest
        return f"newest snapshot: {age.total_seconds():.0f} s old" if age > allowed else ""


def export(
    metrics: Metrics,
    client: Client,
    recording: Recording,
    *,
    leadership: Leadership,
    pulse: Pulse,
    duties: Mapping[str, Duty],
    clock: Callable[[], datetime],
) -> None:
    """Let *metrics* show what the parts of the service know of themselves."""
    metrics.watch("loop_lag_seconds", "By how much the event loop was late at its last beat.", lambda: pulse.lag)
    metrics.watch("backlog_rows", "Rows held in memory for PostgreSQL.", lambda: recording.status.backlog.rows)
    metrics.watch("spool_bytes", "Bytes of the spool on disk.", lambda: recording.status.backlog.size)
    metrics.watch(
        "spool_waiting_records", "Records that wait for PostgreSQL.", lambda: recording.status.backlog.records
    )
    metrics.watch(
        "spool_oldest_waiting_seconds",
        "Since when the oldest of them waits; 0: nothing does.",
        lambda: (clock() - oldest).total_seconds() if (oldest := recording.status.backlog.oldest) else 0,
    )
    metrics.watch("spool_up", "1 while the disk takes what is spooled.", lambda: not recording.status.backlog.trouble)
    metrics.watch(
        "database_up", "1 while PostgreSQL takes what it is given.", lambda: not recording.status.failing_since
    )
    metrics.watch(
        "leadership_up",
        "1 while it can be seen whether another recorder is at work.",
        lambda: not leadership.error,
    )
    metrics.watch("exchange_connected", "1 while connected to the exchange.", lambda: client.status().connected)
    metrics.watch("exchange_connections", "Connections opened so far.", lambda: client.status().connections_total)
    metrics.watch(
        "streams_waiting",
        "Accounts whose event stream is not connected, and should be.",
        lambda: sum(bool(duty.stream_waits) for duty in duties.values()),
    )
    metrics.watch("weight_used", "Request weight used in this minute.", lambda: client.status().weight_used)
    metrics.watch("weight_budget", "Request weight a minute that may be used.", lambda: client.status().weight_budget)
    metrics.watch(
        "clock_offset_seconds",
        "Exchange clock minus own clock.",
        lambda: offset.total_seconds() if (offset := client.status().clock_offset) else 0,
    )
    metrics.watch(
        "paused_until_timestamp_seconds",
        "Until when the exchange wants to be left alone; 0: it does not.",
        lambda: until.timestamp() if (until := client.status().paused_until) else 0,
    )
