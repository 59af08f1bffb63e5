"""Accounts that the exchange does not serve until a person has mended their key."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from recorder.exceptions import AccountRejected

_PROBE_EVERY = 3_600.0


class StoppedAccounts:
    """Answers for the exchange while an account is stopped: asking with a bad key again and again gets an IP banned.

    Every hour one request is let through, to see whether the key has been mended at the exchange.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._errors: dict[str, AccountRejected] = {}
        self._probe_at: dict[str, float] = {}

    @contextmanager
    def request(self, account: str) -> Iterator[None]:
        """Let a request through, or raise what stopped the account; its outcome stops or releases the account."""
        self.check(account)
        try:
            yield
        except AccountRejected as exc:
            self.stop(account, exc)
            raise
        self.release(account)

    def check(self, account: str) -> None:
        """Raise what stopped the account, unless it is not stopped or its hourly probe is due."""
        error = self._errors.get(account)
        if error is None:
            return
        if self._monotonic() < self._probe_at[account]:
            raise AccountRejected(error.what, why=error.why, fix=error.fix)
        self._probe_at[account] = self._monotonic() + _PROBE_EVERY

    def stop(self, account: str, error: AccountRejected) -> None:
        self._errors[account] = error
        self._probe_at[account] = self._monotonic() + _PROBE_EVERY

    def release(self, account: str) -> None:
        """Say that the exchange answers for this account."""
        self._errors.pop(account, None)
