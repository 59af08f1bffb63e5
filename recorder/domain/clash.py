"""A clash: an id that the exchange used again, for the same line with other content or for another line."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Clash:
    """What was found when something told was written.

    Attributes:
        account_id: The number of the account.
        record: The table of the line: ``fill``, ``income`` or ``balance_change``.
        is_restated: Whether it is one line with two contents, of which one is superseded; else it is another line,
            and both count.
        what: Which line, and what differs, in words.
    """

    account_id: int
    record: str
    is_restated: bool
    what: str
