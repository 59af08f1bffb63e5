"""A check: one thing that must hold of what is recorded, asked of the database alone in one statement."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

_GIVEN = """
    given AS (
      SELECT coalesce(CAST(:since AS timestamptz), '-infinity') AS since, CAST(:until AS timestamptz) AS until
    ), chosen AS (
      SELECT id, name FROM recorder.account WHERE CAST(:account AS text) IS NULL OR name = CAST(:account AS text)
    )"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A question to the tables of schema ``recorder``, put together from pieces of SQL.

    All pieces see two tables: ``given`` (*since*, ``-infinity`` when nobody asked for one, and *until*, the end of the
    month or null) and ``chosen`` (*id* and *name* of the accounts).

    Attributes:
        name: Never changes: programs tell checks apart by it.
        question: What is asked, for an auditor; "yes" is good.
        unit: What is counted.
        tables: More of a ``WITH`` list, for all other pieces.
        checked: How much was checked: an expression.
        comparable_of: How much there is, where not all of it can be checked: an expression.
        wrong: A ``SELECT`` of what violates: ``account``, ``time`` and ``symbol`` (each may be null), and whatever
            *saying* needs.
        saying: What is wrong with such a row, in words: an expression of its columns.
        by_month: Ask each month by itself: for what reads samples.
        is_violation: Whether what was found breaks a promise; else it is worth telling, and no more.
    """

    name: str
    question: str
    unit: str
    tables: str = ""
    checked: str
    comparable_of: str = "NULL"
    wrong: str
    saying: str
    by_month: bool = False
    is_violation: bool = True

    @property
    def sql(self) -> TextClause:
        tables = f", {self.tables.strip()}" if self.tables else ""
        return text(f"""
            WITH {_GIVEN}{tables}, wrong AS MATERIALIZED ({self.wrong})
            SELECT ({self.checked}) AS checked, ({self.comparable_of}) AS comparable_of,
                   (SELECT count(*) FROM wrong) AS found, example.*
            FROM (SELECT 1) AS once
            LEFT JOIN LATERAL (
              SELECT wrong.account, wrong."time", wrong.symbol, {self.saying} AS what
              FROM (SELECT * FROM wrong ORDER BY "time", account, symbol LIMIT :examples) AS wrong
            ) AS example ON true
            ORDER BY example."time", example.account, example.symbol
        """)


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """Where a promise is broken; ``None`` stands for what does not apply."""

    account: str | None
    time: datetime | None
    symbol: str | None
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of a check, or of one month of it.

    Attributes:
        comparable_of: How much there is, where not all could be checked; else ``None``.
        examples: The first few of what was *found*.
    """

    checked: int
    comparable_of: int | None
    found: int
    examples: tuple[Example, ...]

    def plus(self, other: "Answer", examples: int) -> "Answer":
        """The answer for both months."""
        totals = [each for each in (self.comparable_of, other.comparable_of) if each is not None]
        return Answer(
            checked=self.checked + other.checked,
            comparable_of=sum(totals) if totals else None,
            found=self.found + other.found,
            examples=(self.examples + other.examples)[:examples],
        )


NOTHING = Answer(checked=0, comparable_of=None, found=0, examples=())


async def put(connection: AsyncConnection, check: Check, **given: Any) -> Answer:
    """Ask the question; *given* are since, until, account, examples, and what else the check wants."""
    rows = (await connection.execute(check.sql, given)).mappings().all()
    return Answer(
        checked=rows[0]["checked"],
        comparable_of=rows[0]["comparable_of"],
        found=rows[0]["found"],
        examples=tuple(
            Example(**{key: row[key] for key in ("account", "time", "symbol", "what")})
            for row in rows
            if row["what"] is not None
        ),
    )
