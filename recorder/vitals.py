"""Vitals: how the service is doing, for whoever asks over HTTP."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from recorder.binance.client import Client
from recorder.metrics import Metrics
from recorder.recording import Recording
from recorder.watch import Watch
from recorder.web.app import Report


class Vitals:
    """Answers from what the parts of the service know of themselves; no database is asked."""

    def __init__(
        self,
        accounts: Sequence[str],
        *,
        every: timedelta,
        tasks: Mapping[str, asyncio.Task[None]],
        watch: Watch,
        recording: Recording,
    ) -> None:
        self._accounts = accounts
        self._every = every
        self._tasks = tasks
        self._watch = watch
        self._recording = recording

    def health(self) -> Report:
        """Whether every task of the process lives."""
        ended = {name: "ended" for name, task in self._tasks.items() if task.done()}
        return Report(not ended, ended or dict.fromkeys(self._tasks, "running"))

    def readiness(self) -> Report:
        """Whether data flows: every account's newest committed ok snapshot is younger than two slots."""
        status, now = self._recording.status, datetime.now(UTC)
        reasons = {}
        for account in self._accounts:
            newest = status.committed_ok.get(account)
            if newest is None or now - newest > 2 * self._every:
                age = "none yet" if newest is None else f"{(now - newest).total_seconds():.0f} s old"
                failing = self._watch.failing.get(account)
                reasons[account] = f"newest snapshot: {age}" + (f"; {failing}" if failing else "")
        if reasons and status.error:
            reasons["database"] = status.error
        if status.backlog.trouble:
            reasons["spool"] = status.backlog.trouble
        if status.letting_go:
            reasons["let go"] = "neither the spool nor the memory has room: what is observed is let go"
        return Report(not reasons, reasons)


def export(metrics: Metrics, client: Client, recording: Recording) -> None:
    """Let *metrics* show what the parts of the service know of themselves."""
    metrics.watch("backlog_rows", "Rows held in memory for PostgreSQL.", lambda: recording.status.backlog.rows)
    metrics.watch("spool_bytes", "Bytes of the spool on disk.", lambda: recording.status.backlog.size)
    metrics.watch(
        "spool_waiting_records", "Records that wait for PostgreSQL.", lambda: recording.status.backlog.records
    )
    metrics.watch(
        "spool_oldest_waiting_seconds",
        "Since when the oldest of them waits; 0: nothing does.",
        lambda: (datetime.now(UTC) - oldest).total_seconds() if (oldest := recording.status.backlog.oldest) else 0,
    )
    metrics.watch("spool_up", "1 while the disk takes what is spooled.", lambda: not recording.status.backlog.trouble)
    metrics.watch(
        "database_up", "1 while PostgreSQL takes what it is given.", lambda: not recording.status.failing_since
    )
    metrics.watch("exchange_connected", "1 while connected to the exchange.", lambda: client.status().connected)
    metrics.watch("exchange_connections", "Connections opened so far.", lambda: client.status().connections_total)
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
