"""listenKeys: which account's events a stream carries, and until when."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from recorder.simulator import errors


class Standing(Enum):
    """What has become of a key."""

    VALID = "valid"
    EXPIRED = "expired"
    STOPPED = "stopped"
    UNKNOWN = "unknown"


@dataclass(slots=True)
class _Issued:
    account: str
    until: datetime
    stopped: bool = False


class ListenKeys:
    """One key per account at a time, valid for a while after it was last asked for.

    Attributes:
        life: How long; it may be changed, for keys that are asked for from then on.
    """

    def __init__(self, life: timedelta = timedelta(minutes=60)) -> None:
        self.life = life
        self._issued: dict[str, _Issued] = {}
        self._newest: dict[str, str] = {}

    def start(self, account: str, now: datetime) -> str:
        """Return the account's key, the same one as long as it is valid, and prolong it."""
        key = self._newest.get(account)
        if key is None or self.standing(key, now) is not Standing.VALID:
            key = hashlib.sha256(f"{account}/{len(self._issued)}".encode()).hexdigest()
            self._newest[account] = key
        self._issued[key] = _Issued(account, now + self.life)
        return key

    @property
    def issued(self) -> list[str]:
        """Every key there ever was."""
        return list(self._issued)

    def ping(self, account: str, now: datetime) -> str:
        """Prolong the account's key.

        Raises:
            ApiError: -1125, there is none, or no longer.
        """
        key = self._newest.get(account)
        if key is None or self.standing(key, now) is not Standing.VALID:
            raise errors.no_listen_key()
        self._issued[key].until = now + self.life
        return key

    def stop(self, account: str) -> None:
        """End the account's key, if there is one; streams are not told."""
        key = self._newest.pop(account, None)
        if key is not None:
            self._issued[key].stopped = True

    def expire(self, account: str, now: datetime) -> None:
        """Let the account's key, if there is one, expire before its time; streams are told."""
        key = self._newest.get(account)
        if key is not None:
            self._issued[key].until = now

    def standing(self, key: str, now: datetime) -> Standing:
        issued = self._issued.get(key)
        if issued is None:
            return Standing.UNKNOWN
        if issued.stopped:
            return Standing.STOPPED
        return Standing.VALID if now < issued.until else Standing.EXPIRED

    def account(self, key: str) -> str | None:
        """Return whose key this is, or was."""
        issued = self._issued.get(key)
        return issued.account if issued else None
