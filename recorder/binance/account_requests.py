"""Requests on behalf of accounts over the WebSocket API, within a time limit."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

from recorder.binance.allowance import Allowance
from recorder.binance.channel import Channel
from recorder.binance.connection import Reply
from recorder.binance.retries import with_retries
from recorder.binance.signing import Credentials, Params
from recorder.binance.stopped import StoppedAccounts
from recorder.binance.timekeeper import Timekeeper
from recorder.exceptions import AnswerTimeout, ExchangeError, ExchangeUnavailable


class AccountRequests:
    """Tries again what is worth it while there is time. AccountRejected stops an account for an hour at a time."""

    def __init__(self, channel: Channel, allowance: Allowance, timekeeper: Timekeeper) -> None:
        self._channel = channel
        self._allowance = allowance
        self._timekeeper = timekeeper
        self._stopped = StoppedAccounts()

    async def ask(
        self,
        credentials: Credentials,
        method: str,
        params: Callable[[], Params],
        weight: int,
        allowed: timedelta,
        *,
        background: bool = False,
    ) -> tuple[bytes, Reply]:
        """Return the result as JSON text, and the times, or raise an ExchangeError, within *allowed*.

        An answer is waited for half of it, and then asked for once more. Params are made for each attempt.
        """
        deadline = asyncio.get_running_loop().time() + allowed.total_seconds()

        async def attempt() -> tuple[bytes, Reply]:
            return await self._channel.attempt(
                f"Account {credentials.account}",
                method,
                params,
                weight=weight,
                answer_timeout=allowed.total_seconds() / 2,
                deadline=deadline,
                background=background,
                redact=credentials.redacted,
            )

        with self._stopped.request(credentials.account):
            try:
                async with asyncio.timeout_at(deadline):
                    self._allowance.refuse_if_paused(deadline)
                    await self._timekeeper.tried.wait()
                    return await with_retries(attempt, self._timekeeper.measure, deadline=deadline)
            except TimeoutError as exc:
                self._allowance.refuse_if_paused(deadline)  # it may have been imposed while this call waited
                raise self._overdue(credentials, method, allowed) from exc

    def _overdue(self, credentials: Credentials, method: str, allowed: timedelta) -> ExchangeError:
        seconds = allowed.total_seconds()
        if not self._channel.supervisor.connected:
            return ExchangeUnavailable(
                f"Account {credentials.account}: there was no connection to the exchange for {seconds:g} s",
                why=self._channel.last_error or "The exchange did not complete the handshake.",
                fix="It is tried again and again; see that exchange.ws_api_url is reachable from this machine.",
            )
        return AnswerTimeout(
            f"Account {credentials.account}: {method} was not answered within {seconds:g} s",
            why=self._channel.last_error or "The exchange or the network is slow.",
            fix="If it lasts: raise snapshot.timeout, or look for announcements of the exchange.",
        )
