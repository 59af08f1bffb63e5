"""What the client can tell of itself at any moment."""

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
