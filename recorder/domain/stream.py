"""Coverage: since when an account's event stream is listened to, and since when it is not."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

IN_TRANSIT = timedelta(seconds=1)
"""So long before nobody listened any more an event may have happened that was still on its way then."""


class LossReason(StrEnum):
    """Why a stream does not cover its account any more."""

    CONNECTION_LOST = "connection_lost"
    LISTEN_KEY_EXPIRED = "listen_key_expired"
    LISTEN_KEY_CHANGED = "listen_key_changed"
    SILENT = "silent"
    ASLEEP = "asleep"


@dataclass(frozen=True, slots=True)
class Connected:
    """Events come in from *at*, exchange time, on. That they do shows in nothing but the events themselves."""

    at: datetime


@dataclass(frozen=True, slots=True)
class Lost:
    """Nothing was told any more after *at*, exchange time; what happened shortly before may be missing too."""

    at: datetime
    reason: LossReason
    detail: str = ""


Coverage = Connected | Lost


@dataclass(frozen=True, slots=True)
class StreamState:
    """Whether an account's stream covers it, and since when: for who asks how fresh the data is.

    Attributes:
        state: ``connected``, or why it is not: a ``LossReason``, ``not_running`` (an earlier process ended then),
            ``stopped`` (the service was told to stop) or ``disabled`` (it goes on without the stream).
    """

    account: str
    state: str
    since: datetime
