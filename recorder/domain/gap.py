"""A gap: an interval in which an account was not watched, and why."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class GapSource(StrEnum):
    """Which of the two ways of watching was interrupted."""

    SNAPSHOT = "snapshot"
    STREAM = "stream"


class GapReason(StrEnum):
    """Why nobody watched."""

    NOT_RUNNING = "not_running"
    BUFFER_FULL = "buffer_full"
    CONNECTION_LOST = "connection_lost"
    LISTEN_KEY_EXPIRED = "listen_key_expired"
    LISTEN_KEY_CHANGED = "listen_key_changed"
    SILENT = "silent"
    SPOOL_DAMAGED = "spool_damaged"
    DATABASE_RESTORED = "database_restored"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """An interval without observations: nothing is known of it, which is not the same as nothing having happened.

    Attributes:
        started_at: The last instant that is covered.
        ended_at: The first instant that is covered again; ``None`` while the gap is open.
    """

    account: str
    source: GapSource
    started_at: datetime
    ended_at: datetime | None
    reason: GapReason
