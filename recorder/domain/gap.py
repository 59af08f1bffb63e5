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
    STOPPED = "stopped"
    TOOK_OVER = "took_over"
    ASLEEP = "asleep"
    BUFFER_FULL = "buffer_full"
    EXCHANGE_UNAVAILABLE = "exchange_unavailable"
    EXCHANGE_REFUSED = "exchange_refused"
    BANNED = "banned"
    WEIGHT_USED_UP = "weight_used_up"
    KEY_REJECTED = "key_rejected"
    INTERNAL_ERROR = "internal_error"
    WAITING_FOR_CONNECTION = "waiting_for_connection"
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
