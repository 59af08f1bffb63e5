"""A snapshot: the outcome of asking one account for its positions once. It has rows, or a reason; never silence."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from recorder.domain.balance import Balance
from recorder.domain.position import Position


class Kind(StrEnum):
    """Why the account was asked. All but ``SLOT`` have their own instant as time."""

    SLOT = "slot"
    START = "start"
    RECONNECT = "reconnect"
    MANUAL = "manual"
    IMPORT = "import"


class Outcome(StrEnum):
    """How it ended: ``OK``, or what failed."""

    OK = "ok"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    RATE_LIMITED = "rate_limited"
    CLOCK = "clock"
    ACCOUNT_REJECTED = "account_rejected"
    REQUEST_REJECTED = "request_rejected"
    MALFORMED = "malformed"
    MISSED = "missed"
    STOPPED = "stopped"
    INTERNAL_ERROR = "internal_error"
    REFUSED_BY_DATABASE = "refused_by_database"


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The outcome of one slot, or of one request outside the schedule, for one account.

    Attributes:
        account: The name the operator gave the account.
        time: The slot; for other kinds the instant of asking. With the account it is the snapshot's identity.
        taken_at: The exchange's time at which the rows were true: the middle of [sent, received] corrected by the
            clock offset. For a failed snapshot the moment at which it was given up.
        duration: From sending to receiving, or until it was given up.
        clock_offset: Exchange clock minus own clock as last measured; ``None`` before the first measurement.
        detail: For a person: why it failed, or that it ran late.
        positions: Every row of the answer, each symbol and side once; empty when it failed.
        balance_outcome: What came of asking for the balances right after the positions; ``None``: not asked.
        balances: Every asset of that answer; empty when it failed.
    """

    account: str
    time: datetime
    kind: Kind
    taken_at: datetime
    duration: timedelta = timedelta(0)
    clock_offset: timedelta | None = None
    outcome: Outcome = Outcome.OK
    detail: str = ""
    positions: tuple[Position, ...] = ()
    balance_outcome: Outcome | None = None
    balances: tuple[Balance, ...] = ()

    @property
    def ok(self) -> bool:
        return self.outcome is Outcome.OK

    def __post_init__(self) -> None:
        if self.positions and not self.ok:
            raise ValueError(f"{self.account}: a failed snapshot has no positions")
        if len({position.key for position in self.positions}) != len(self.positions):
            raise ValueError(f"{self.account}: the same symbol and side twice in one snapshot")
