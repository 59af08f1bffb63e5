"""The exchange's clock, seen from here."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from recorder.process.clock import steady, wall_clock


@dataclass(frozen=True, slots=True)
class ClockSample:
    """One reading of the exchange's clock; *sent* and *received* are steady seconds."""

    sent: float
    received: float
    server_time: datetime

    @property
    def round_trip(self) -> float:
        return self.received - self.sent


class ExchangeClock:
    """Exchange time, carried on by the steady clock: a step of this machine's clock does not move it, nor does a sleep.

    Before the first measurement it goes on from this machine's time at the start, and ``offset`` is ``None``.

    Attributes:
        measured_at: Steady seconds of the last measurement; ``None`` before the first.
        uncertainty: Half the round trip of the sample in use: the largest error it can have.
    """

    def __init__(
        self,
        wall: Callable[[], datetime] = wall_clock,
        steady: Callable[[], float] = steady,
        *,
        measured: Callable[[datetime], None] = lambda _: None,
    ) -> None:
        """*measured* is told exchange time whenever it was measured."""
        self._wall = wall
        self._steady = steady
        self._measured = measured
        self._anchor = (steady(), wall())
        self.measured_at: float | None = None
        self.uncertainty: timedelta | None = None

    def adjust(self, samples: Iterable[ClockSample]) -> None:
        """Take over the sample with the shortest round trip: the middle of it is closest to the server's reading."""
        best = min(samples, key=lambda sample: sample.round_trip)
        self._anchor = ((best.sent + best.received) / 2, best.server_time)
        self.uncertainty = timedelta(seconds=best.round_trip / 2)
        self.measured_at = self._steady()
        self._measured(self.now())

    def now(self) -> datetime:
        """Return exchange time, aware UTC."""
        at, reading = self._anchor
        return reading + timedelta(seconds=self._steady() - at)

    def is_fresh(self, seconds: float) -> bool:
        """Whether it was measured less than so many seconds ago."""
        return self.measured_at is not None and self._steady() - self.measured_at < seconds

    @property
    def offset(self) -> timedelta | None:
        """Exchange clock minus this machine's clock, at this moment."""
        return None if self.measured_at is None else self.now() - self._wall()

    def local(self, exchange_time: datetime) -> datetime:
        """Return the time that this machine's clock shows when the exchange's shows *exchange_time*."""
        return exchange_time - (self.offset or timedelta(0))

    def exchange(self, local_time: datetime) -> datetime:
        """Return the time that the exchange's clock shows when this machine's shows *local_time*."""
        return local_time + (self.offset or timedelta(0))

    def wall_at(self, steady: float) -> datetime:
        """Return the time of this machine's clock at a recent moment of the steady one."""
        return self._wall() - timedelta(seconds=self._steady() - steady)
