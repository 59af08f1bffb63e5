"""Doubts: what works, and still is not as it should be."""

import os
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta

from recorder.binance.rest import RestClient
from recorder.binance.signing import Credentials
from recorder.cli.finding import Finding, Grade
from recorder.exceptions import ExchangeError
from recorder.postgres.encryption import Encryption
from recorder.postgres.questions import ServerFacts

CLOCK_TOLERANCE = timedelta(seconds=1)
_READ_ONLY = "in Binance's API management leave 'Enable Reading' alone ticked: the recorder needs no more"


def doubts_about(facts: ServerFacts, url: str | None) -> Iterator[Finding]:
    """Yield what is doubtful of the server at *url*; ``None`` is the embedded one."""
    if not facts.fsync:
        why = "a crash of its machine can lose or corrupt what it confirmed"
        yield _database("fsync is off", why, "set fsync = on in postgresql.conf")
    if not facts.full_page_writes:
        why = "a crash of its machine can corrupt pages"
        yield _database("full_page_writes is off", why, "set full_page_writes = on in postgresql.conf")
    if facts.synchronous_commit == "off":
        why = "what others write can be lost in a crash; the recorder's own sessions wait for the disk all the same"
        yield _database("synchronous_commit is off", why, "set synchronous_commit = on for this database")
    if facts.time_zone not in {"UTC", "Etc/UTC", "GMT"}:
        why = "harmless: instants are recorded, the same in every zone; but psql and BI tools show them in this one"
        fix = "ALTER DATABASE … SET TimeZone = 'UTC', if they should show what the recorder shows"
        yield _database(f"its time zone is {facts.time_zone}", why, fix)
    if url is not None:
        yield from _doubts_about_encryption(Encryption.of(url, os.environ), facts.tls)
    skew = abs(facts.now - datetime.now(UTC))
    if skew > CLOCK_TOLERANCE:
        what = f"its clock and this machine's differ by {skew.total_seconds():.1f} s"
        yield _database(what, "ages in bi.freshness are wrong by that", "run an NTP client")


async def doubts_about_key(rest: RestClient, credentials: Credentials) -> AsyncIterator[Finding]:
    """Yield what an account's key may do and need not, as far as the exchange tells."""
    subject = f"account {credentials.account}"
    try:
        key = await rest.key_permissions(credentials)
    except ExchangeError as error:
        what = "the exchange does not tell what the key may do"
        yield Finding(subject, Grade.WARN, what, f"{error.what}; demo exchanges never tell", _READ_ONLY)
        return
    if key.can_withdraw:
        why = "who gets hold of it can take the money"
        yield Finding(subject, Grade.WARN, "the key can withdraw or transfer", why, _READ_ONLY)
    if key.can_trade:
        why = "who gets hold of it can trade with the money"
        yield Finding(subject, Grade.WARN, "the key can trade", why, _READ_ONLY)
    if key.ip_restrict is False:
        why = "who gets hold of it can use it from anywhere"
        fix = "in Binance's API management restrict it to the address of this machine"
        yield Finding(subject, Grade.WARN, "the key may be used from every address", why, fix)


def _doubts_about_encryption(encryption: Encryption, tls: str | None) -> Iterator[Finding]:
    if not encryption.is_remote or encryption.is_verified:
        return
    fix = "take sslmode out of database.url, or set it to verify-full"
    if tls is None:
        why = "everything recorded can be read and changed on the way"
        yield _database("the connection to another machine is not encrypted", why, fix)
    else:
        why = f"with sslmode={encryption.mode} another server could pose as it, and read and change everything"
        yield _database("the connection is encrypted, but the server need not prove who it is", why, fix)


def _database(what: str, why: str, fix: str) -> Finding:
    return Finding("database", Grade.WARN, what, why, fix)
