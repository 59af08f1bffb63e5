"""listenKeys: which account's events a stream carries, and until when."""

import hashlib
from datetime import datetime, timedelta

from recorder.simulator import errors

_VALID = timedelta(minutes=60)


class ListenKeys:
    """One key per account at a time, valid for an hour after it was last asked for."""

    def __init__(self) -> None:
        self._keys: dict[str, tuple[str, datetime]] = {}
        self._made = 0

    def start(self, account: str, now: datetime) -> str:
        """Return the account's key, the same one as long as it is valid, and prolong it."""
        key = self._valid(account, now)
        if key is None:
            self._made += 1
            key = hashlib.sha256(f"{account}/{self._made}".encode()).hexdigest()
        self._keys[account] = key, now + _VALID
        return key

    def ping(self, account: str, now: datetime) -> str:
        """Prolong the account's key.

        Raises:
            ApiError: -1125, there is none, or no longer.
        """
        key = self._valid(account, now)
        if key is None:
            raise errors.no_listen_key()
        self._keys[account] = key, now + _VALID
        return key

    def stop(self, account: str) -> None:
        """End the account's key, if there is one."""
        self._keys.pop(account, None)

    def _valid(self, account: str, now: datetime) -> str | None:
        key, until = self._keys.get(account, (None, now))
        return key if now < until else None
