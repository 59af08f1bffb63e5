"""Everything that can go wrong, sorted by what the caller can do about it.

RecorderError
    ConfigurationError        fix the settings, then start again
    ExchangeError
        ExchangeUnavailable   try again: refused, dropped, timed out, busy
            AnswerTimeout     the same, because no answer came in time
        RateLimited           nobody behind this address may ask before ``until``
        ClockRejected         measure the clock, sign again, try once more
        AccountRejected       this account is stopped until a person mends its key
        RequestRejected       do not try again: the exchange will not answer this request
        MalformedAnswer       do not try again: the wire format is not the known one
    StorageError
        StorageUnavailable    try again: PostgreSQL is away, busy, full or read-only
        StorageRefused        do not try the same rows again: PostgreSQL refuses their content
        SchemaMismatch        run the migrations first
        DatabaseWentBack      write again what it had and has no more
        SpoolCopied           go on under another name: two spools have the same one
    SpoolError
        SpoolInUse            another process writes it: stop that one, or use another folder
        SpoolUnusable         mend what it names, then start again
        SpoolFull             try again later: the disk takes nothing more, or says that it failed
        UnknownRecord         keep the bytes aside: a newer version wrote this record, or something else did
"""

from datetime import datetime


class RecorderError(Exception):
    """A failure that a user is told about.

    Attributes:
        what: What happened, one sentence.
        why: The likely cause, when it is known.
        fix: The command or setting that mends it, when there is one.
    """

    def __init__(self, what: str, *, why: str = "", fix: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.fix = fix


class ConfigurationError(RecorderError):
    """A setting is missing, unknown or wrong."""


class ExchangeError(RecorderError):
    """The exchange did not give a usable answer."""


class ExchangeUnavailable(ExchangeError):
    """The exchange could not be reached or had a fault of its own; the same request may be sent again."""


class AnswerTimeout(ExchangeUnavailable):
    """No answer came in the time allowed."""


class RateLimited(ExchangeError):
    """This address asked too much (429, 418, -1003): nobody behind it may ask again before ``until``.

    Attributes:
        until: Aware UTC, in this machine's time.
    """

    def __init__(self, what: str, *, until: datetime, why: str = "", fix: str = "") -> None:
        super().__init__(what, why=why, fix=fix)
        self.until = until


class ClockRejected(ExchangeError):
    """The exchange refused the request's timestamp (-1021)."""


class AccountRejected(ExchangeError):
    """The exchange refuses this account's key; only a person can mend that."""


class RequestRejected(ExchangeError):
    """The exchange understood the request and will not answer it."""


class MalformedAnswer(ExchangeError):
    """The answer is not what the documentation of the exchange says; the message names the field."""


class StorageError(RecorderError):
    """PostgreSQL did not take or give the data.

    Attributes:
        sqlstate: PostgreSQL's own code of the error; empty when it did not come to an answer.
    """

    def __init__(self, what: str, *, why: str = "", fix: str = "", sqlstate: str = "") -> None:
        super().__init__(what, why=why, fix=fix)
        self.sqlstate = sqlstate


class StorageUnavailable(StorageError):
    """PostgreSQL is away, busy, full or read-only; the same write may be tried again."""


class StorageRefused(StorageError):
    """PostgreSQL refuses the content of these rows; trying the same rows again cannot help."""


class SchemaMismatch(StorageError):
    """The database's schema is of another revision than this program."""


class DatabaseWentBack(StorageError):
    """The database has less than was committed: it is an older copy, or commits were lost in a failover.

    Attributes:
        sequence: Up to which record of the spool it has everything; 0 when it knows nothing of the spool.
        at: When it got there; ``None`` when it knows nothing.
    """

    def __init__(self, *, sequence: int, at: datetime | None) -> None:
        super().__init__(
            "the database has less than was committed to it",
            why="it was restored from a backup, or lost commits in a failover, or is another one",
        )
        self.sequence = sequence
        self.at = at


class SpoolCopied(StorageError):
    """Another process has written here with a spool of the same name, which must be a copy of it."""

    def __init__(self, *, host: str, pid: int | None, at: datetime) -> None:
        super().__init__(
            "another recorder uses a copy of this spool",
            why=f"process {pid or 'unknown'} on host {host} wrote what this spool does not hold, last at {at}; "
            "storage.data_dir was copied, restored from an older copy, or lost its end",
            fix="nothing is lost, and this one goes on under a name of its own; "
            "give each recorder a storage.data_dir of its own, empty at first",
        )


class SpoolError(RecorderError):
    """What was observed could not be put on disk, or not be read from there."""


class SpoolInUse(SpoolError):
    """Another process writes this spool."""


class SpoolUnusable(SpoolError):
    """The spool cannot be opened; only a person can mend that."""


class SpoolFull(SpoolError):
    """The disk takes nothing more, or reported a failure; nothing of what was given counts as durable."""


class UnknownRecord(SpoolError):
    """The payload of a record says nothing that this version understands."""
