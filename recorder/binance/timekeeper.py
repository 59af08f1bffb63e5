"""Keeps the exchange's clock measured."""

import asyncio
import logging
from datetime import timedelta

from recorder.binance.channel import Channel
from recorder.binance.clock import ClockSample, ExchangeClock
from recorder.binance.messages import decode_server_time
from recorder.binance.weight import SESSION_STATUS
from recorder.exceptions import AnswerTimeout, ExchangeError
from recorder.process.clock import steady

_SAMPLES = 5
_REFRESH = timedelta(minutes=10).total_seconds()
_RETRY = 30.0

_log = logging.getLogger(__name__)


class Timekeeper:
    """Measures the clock once there is a connection, then every ten minutes, and when asked to.

    Attributes:
        tried: Set once the first measurement has succeeded or failed: no request is signed before.
    """

    def __init__(self, channel: Channel, clock: ExchangeClock, timeout: timedelta) -> None:
        self._channel = channel
        self._clock = clock
        self._timeout = timeout.total_seconds()
        self._measuring = asyncio.Lock()
        self.tried = asyncio.Event()

    async def run(self) -> None:
        """Keep the clock measured until cancelled; a fault of the network or the exchange never ends it."""
        while True:
            await self._channel.supervisor.connection()
            try:
                await self.measure()
            except ExchangeError as exc:
                _log.warning("The exchange's clock was not measured: %s", exc.what)
            self.tried.set()
            await asyncio.sleep(_REFRESH if self._clock.is_fresh(_REFRESH) else _RETRY)

    async def measure(self) -> None:
        """Measure the clock, unless it was measured by another caller since this one asked.

        Raises an ExchangeError when it takes longer than the time-out or the exchange refuses to tell.
        """
        asked_at = steady()
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._timeout), self._measuring:
                if self._clock.measured_at is not None and self._clock.measured_at > asked_at:
                    return
                deadline = loop.time() + self._timeout
                self._clock.adjust([await self._sample(deadline) for _ in range(_SAMPLES)])
        except TimeoutError as exc:
            raise AnswerTimeout(
                f"The exchange's clock could not be read within {self._timeout:g} s",
                why=self._channel.last_error or "The exchange or the network is slow.",
                fix="It is tried again and again; meanwhile requests are signed with the time known so far.",
            ) from exc

    async def _sample(self, deadline: float) -> ClockSample:
        result, reply = await self._channel.attempt(
            "Exchange clock",
            "session.status",
            dict,
            weight=SESSION_STATUS,
            answer_timeout=self._timeout / 2,
            deadline=deadline,
        )
        return ClockSample(reply.sent, reply.received, decode_server_time(result))
