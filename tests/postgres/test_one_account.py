"""SQL that does more than append names one constant account on every growing table, so that it goes to one shard.

Exceptions are listed, and the list may only become shorter.
"""

import importlib
import pkgutil
import re
from collections.abc import Iterator

from sqlalchemy import TextClause

from recorder import postgres
from recorder.postgres import tables
from recorder.postgres.definitions import definitions

GROWING = sorted(
    table.name for table in tables.METADATA.tables.values() if "account_id" in table.columns and table.name != "account"
)
CONSTANT = re.compile(r"account_id\s*=\s*:\w+|:\w+\s*=\s*\w*\.?account_id")
SEVERAL_ACCOUNTS = {
    "beginnings._ADD_SNAPSHOT",
    "beginnings._ADD_STREAM",
    "beginnings._END",
    "changes._ADD",
    "dead_letters._OPEN",
    "dead_letters._SETTLE",
    "events._ADD_CHANGES",
    "events._REPLACED",
    "gaps._LAST_WATCHED",
    "gaps._OPEN",
    "ledgers._NOT_REPAIRED",
    "ledgers._REPAIRED",
    "questions._SUMMARY",
    "rebuilding._CERTAIN",
    "rebuilding._MAKE_ROOM",
    "rebuilding._REACH",
    "schedules._ADD",
    "snapshots._REBUILD_FROM",
}
"""Statements that read or change several accounts at once, by module and name."""

WINDOWS_BY_NAME = {
    "pnl_series",
    "position_episode",
}
"""Definitions with a window that is not partitioned by account_id."""


def statements() -> Iterator[tuple[str, str]]:
    for module in pkgutil.walk_packages(postgres.__path__, "recorder.postgres."):
        if "embedded" in module.name or "verification" in module.name:
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            if isinstance(value, TextClause):
                yield f"{module.name.removeprefix('recorder.postgres.')}.{name}", value.text


def names_one_account(sql: str) -> bool:
    """Whether each growing table of *sql* is read or changed with a constant account_id beside it."""
    read = re.findall(r"(?:FROM|JOIN|UPDATE|USING)\s+recorder\.(\w+)", sql)
    growing = [name for name in read if name in GROWING]
    return len(CONSTANT.findall(sql)) >= len(growing)


def test_a_statement_that_does_more_than_append_names_one_account() -> None:
    several = {name for name, sql in statements() if not names_one_account(sql)}

    assert several - SEVERAL_ACCOUNTS == set(), "compare each growing table with one constant account_id"
    assert SEVERAL_ACCOUNTS - several == set(), "these name one account by now: take them off the list"


def test_windows_are_partitioned_by_account() -> None:
    by_name = {
        definition.name
        for definition in definitions()
        for window in re.findall(r"\(\s*PARTITION BY ([^)]*?)(?: ORDER|\))", definition.script)
        if "account_id" not in window
    }

    assert by_name - WINDOWS_BY_NAME == set(), "partition the window by account_id first"
    assert WINDOWS_BY_NAME - by_name == set(), "these are partitioned by account_id by now: take them off the list"
