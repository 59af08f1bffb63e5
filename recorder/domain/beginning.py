"""A beginning: a recorder takes an account on. What is not covered before that, somebody must own up to."""

from dataclasses import dataclass
from datetime import datetime

from recorder.domain.gap import GapReason


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """When an account began to be watched by one process.

    It is recorded before anything else the process observes, so that one that dies before it reaches PostgreSQL leaves
    no time unaccounted for: the next one owns up for it.

    Attributes:
        since: The time of its first snapshot: only earlier ones are another's.
        began: When that was asked for: until then others may have listened.
        reason: Why nobody watched right before, if nobody did.
    """

    account: str
    since: datetime
    began: datetime
    reason: GapReason = GapReason.NOT_RUNNING
