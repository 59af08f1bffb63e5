"""What the client and its streams can tell of themselves at any moment."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientStatus:
    """A reading of the client's counters; totals count from its start.

    Attributes:
        late_answers: Answers that came after their request was given up.
        unintelligible: Frames that are not of the known format, or unknown notices.
        weight_used: Own use in the present minute.
        weight_limit: The exchange's limit for this address, as it last told.
        paused_until: In this machine's time; ``None`` when nothing is paused.
        clock_offset: Exchange clock minus own clock; ``None`` before the first measurement.
        last_error: What last went wrong between here and the exchange; empty while all is well.
    """

    connected: bool
    connections_total: int
    answers: int
    refusals: int
    timeouts: int
    late_answers: int
    unintelligible: int
    weight_used: int
    weight_budget: int
    weight_limit: int | None
    paused_until: datetime | None
    clock_offset: timedelta | None
    clock_uncertainty: timedelta | None
    last_error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamStatus:
    """A reading of one account's user data stream; totals count from its start.

    Attributes:
        connected: Whether events are expected to come in.
        events: How many were delivered, by the name of their class; ``KeptEvent`` includes the malformed ones.
        passed: Messages that mean nothing to the recorder, such as orders without a trade.
        malformed: Messages that are not as documented.
        last_event_at: Own wall clock; ``None`` before the first. A quiet account has no events for hours.
        key_renewed_at: Own wall clock of the last time that the exchange prolonged the listenKey.
        last_error: Why there is no connection or no listenKey; empty while all is well.
    """

    account: str
    connected: bool
    connections_total: int
    events: Mapping[str, int]
    passed: int
    malformed: int
    last_event_at: datetime | None
    key_renewed_at: datetime | None
    last_error: str
