"""Metrics for Prometheus: one object with its own registry, so that nothing is shared between tests or services."""

from collections.abc import Callable
from datetime import timedelta

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from recorder.domain.gap import GapSource
from recorder.domain.snapshot import Snapshot

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """What the service counts. The account label is the name the operator chose, never a key."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._snapshots = Counter(
            "recorder_snapshots",
            "Snapshots committed to PostgreSQL, by outcome.",
            ("account", "outcome"),
            registry=self.registry,
        )
        self._samples = Counter(
            "recorder_samples", "Position rows committed to PostgreSQL.", ("account",), registry=self.registry
        )
        self._last_ok = Gauge(
            "recorder_last_ok_snapshot_timestamp_seconds",
            "Time of the newest committed ok snapshot.",
            ("account",),
            registry=self.registry,
        )
        self._answer = Histogram(
            "recorder_snapshot_duration_seconds",
            "From asking an account to its answer, or to giving up.",
            buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
            registry=self.registry,
        )
        self._delay = Histogram(
            "recorder_commit_delay_seconds",
            "From the time of a snapshot to its commit.",
            buckets=(0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600, 3600),
            registry=self.registry,
        )
        self._let_go = Counter(
            "recorder_let_go",
            "Observations let go because neither the spool nor the memory had room for them; each is in bi.gap.",
            ("account", "source"),
            registry=self.registry,
        )
        self._synced = Histogram(
            "recorder_spool_fsync_seconds",
            "From writing what waits to the spool until it is durable.",
            buckets=(0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
            registry=self.registry,
        )
        self._quarantined = Counter(
            "recorder_spool_quarantined_records",
            "Records that were damaged, unknown to this version or refused in every form.",
            registry=self.registry,
        )
        self._replayed = Counter(
            "recorder_spool_replayed_records",
            "Records written again because the database had lost them.",
            registry=self.registry,
        )
        self._dead_letters = Counter(
            "recorder_dead_letters",
            "Observations that PostgreSQL refused; see recorder dead-letters.",
            registry=self.registry,
        )
        self._superseded = Counter(
            "recorder_superseded",
            "Lines that the exchange told again with other content; see bi.superseded.",
            ("account", "record"),
            registry=self.registry,
        )
        self._reused = Counter(
            "recorder_reused_ids",
            "Lines whose id the exchange had used before for another one; both count.",
            ("account", "record"),
            registry=self.registry,
        )
        self._dated = Histogram(
            "recorder_update_time_difference_seconds",
            "A position row's updateTime minus the time of the event about the same change.",
            buckets=(-1, -0.1, -0.01, -0.001, 0, 0.001, 0.01, 0.1, 1),
            registry=self.registry,
        )
        self._database_errors = Counter(
            "recorder_database_errors", "Failed attempts to write to PostgreSQL.", registry=self.registry
        )

        self._restarts = Counter(
            "recorder_task_restarts",
            "How often a task of the service broke and was started again.",
            ("task",),
            registry=self.registry,
        )
        self._looked_empty = Counter(
            "recorder_account_looked_empty",
            "Complete answers that lacked every position of an account, of whose closes nothing told.",
            ("account",),
            registry=self.registry,
        )
        self._leads = Gauge(
            "recorder_leads",
            "1 while this recorder watches the account, 0 while it stands by because another one does.",
            ("account",),
            registry=self.registry,
        )

        self._upkeep = Gauge(
            "recorder_maintenance_failing",
            "1 while this background work cannot be done; data flows all the same.",
            ("task",),
            registry=self.registry,
        )

    def restarted(self, task: str, times: int) -> None:
        """Count that a task was started again so many *times*; 0 makes it known."""
        self._restarts.labels(task).inc(times)

    def looked_empty(self, account: str) -> None:
        self._looked_empty.labels(account).inc()

    def leads(self, account: str, leads: bool) -> None:
        self._leads.labels(account).set(leads)

    def upkeep(self, task: str, failing: int) -> None:
        self._upkeep.labels(task).set(failing)

    def committed(self, snapshot: Snapshot, delay_seconds: float) -> None:
        """Count a snapshot that was new to the database, committed this long after its time."""
        self._snapshots.labels(snapshot.account, snapshot.outcome).inc()
        self._samples.labels(snapshot.account).inc(len(snapshot.positions))
        self._answer.observe(snapshot.duration.total_seconds())
        self._delay.observe(max(delay_seconds, 0))
        if snapshot.ok:
            self._last_ok.labels(snapshot.account).set(snapshot.time.timestamp())

    def dated(self, later: timedelta) -> None:
        """Note how much later the exchange dates a position's row than the event about the same change."""
        self._dated.observe(later.total_seconds())

    def let_go(self, account: str, source: GapSource) -> None:
        self._let_go.labels(account, source).inc()

    def synced(self, seconds: float) -> None:
        """Note how long the spool took to make durable what waited."""
        self._synced.observe(seconds)

    def quarantined(self, records: int) -> None:
        self._quarantined.inc(records)

    def replayed(self, records: int) -> None:
        self._replayed.inc(records)

    def dead_letter(self) -> None:
        self._dead_letters.inc()

    def clashed(self, account: str, record: str, lines: int, *, is_restated: bool) -> None:
        """Count *lines* that came again otherwise: restated, or others under the same id."""
        (self._superseded if is_restated else self._reused).labels(account, record).inc(lines)

    def database_failed(self) -> None:
        self._database_errors.inc()

    def watch(self, name: str, meaning: str, value: Callable[[], float]) -> None:
        """Export the gauge ``recorder_<name>``, whose value is asked for at every scrape."""
        Gauge(f"recorder_{name}", meaning, registry=self.registry).set_function(value)

    def text(self) -> bytes:
        """All metrics in the text format of Prometheus."""
        return generate_latest(self.registry)
