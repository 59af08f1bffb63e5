"""Tellings: lines that the exchange may tell again, the same, with other content, or under an id it used before.

Of several contents under one key the last that was told stands, what REST told before what the stream told, whatever
order they are written in; every other content is kept as superseded. Another line under the same id is one of its own.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import sha256
from operator import attrgetter
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from recorder.domain.clash import Clash
from recorder.domain.fill import FillSource
from recorder.postgres.reopening import rebuilding_from
from recorder.postgres.rowset import RowSet, number

_NEVER = datetime.min.replace(tzinfo=UTC)
_SUPERSEDED = RowSet(
    {"account_id": "integer", "record": "text", "digest": "text"},
    {"time": "timestamptz", "source": "text", "told_at": "timestamptz", "body": "jsonb"},
)
# One that was known already is no news, but it may have been told so later than was known.
_SUPERSEDE = text(f"""
    INSERT INTO recorder.superseded ({_SUPERSEDED.names}) {_SUPERSEDED.rows}
    ON CONFLICT (account_id, record, digest) DO UPDATE SET source = excluded.source, told_at = excluded.told_at
    WHERE (coalesce(superseded.source, '') = 'rest', coalesce(superseded.told_at, '-infinity'))
        < (coalesce(excluded.source, '') = 'rest', coalesce(excluded.told_at, '-infinity'))
    RETURNING digest, xmax = 0 AS is_new
""")
_STANDS_AGAIN = text("""
    DELETE FROM recorder.superseded
    WHERE account_id = :account_id AND record = :record AND digest = ANY (CAST(:digests AS text[]))
""")

Values = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """One telling of a line.

    Attributes:
        key: What makes it another line, in the order of the record's columns.
        content: What is told of it, likewise.
        told_at: When, exchange time; ``None``: by a version that did not keep it.
        source: ``None`` where there is one source alone.
    """

    key: Values
    content: Values
    told_at: datetime | None
    source: FillSource | None = None

    @property
    def rank(self) -> tuple[bool, datetime]:
        return self.source is FillSource.REST, self.told_at or _NEVER


class Record:
    """A table of such lines.

    Attributes:
        known: Finds what is recorded under the ids of given lines.
        put: Writes lines in place of what they were.
        put_anew: The same for lines that are new or say something new.
    """

    def __init__(
        self,
        name: str,
        key: Mapping[str, str],
        content: Mapping[str, str],
        *,
        ids: Sequence[str],
        counted: Callable[[Values], Values] = tuple,
        of_trades: bool = False,
    ) -> None:
        """*key* and *content* are columns with their types.

        Args:
            ids: The columns of the key that would be enough if the exchange used no id again.
            counted: Returns of a content what makes it another one.
            of_trades: The stream and REST both tell of them, and changes of positions are rebuilt from them.
        """
        self.name = name
        self.counted = counted
        self._key, self._content, self._of_trades = tuple(key), tuple(content), of_trades
        self._time = self._key.index("time")
        self._places = [self._key.index(column) for column in ids]
        self._ids = RowSet({column: key[column] for column in ids}, {})
        told = ({"source": "text"} if of_trades else {}) | {"told_at": "timestamptz"}
        self._rows = RowSet({"account_id": "integer"} | dict(key), dict(content) | told)
        columns = ", ".join(f'line."{column}"' for column in (*key, *content, *told))
        same = " AND ".join(f'"{column}" = given."{column}"' for column in ids)
        self.known = text(f"""
            SELECT {columns} FROM ({self._ids.rows}) AS given
            CROSS JOIN LATERAL (
              SELECT * FROM recorder.{name} WHERE account_id = :account_id AND {same} OFFSET 0
            ) AS line
        """)  # OFFSET has it asked row by row: each is a short range of the key, however long the table is
        place = ", ".join(f'"{column}"' for column in ("account_id", *key))
        put = f"""
            INSERT INTO recorder.{name} ({self._rows.names}) {self._rows.rows}
            ON CONFLICT ({place}) DO UPDATE SET {self._rows.replace}
        """
        self.put = text(put)
        self.put_anew = text(rebuilding_from(f'{put} RETURNING account_id, symbol, "time"')) if of_trades else self.put

    def id_of(self, line: Line) -> Values:
        return tuple(line.key[place] for place in self._places)

    def time_of(self, line: Line) -> datetime:
        time: datetime = line.key[self._time]
        return time

    def ids_of(self, lines: Iterable[Line]) -> dict[str, Any]:
        """The parameters of ``known``, but for the account: each id once."""
        return self._ids.parameters([*map(_parameter, each)] for each in {self.id_of(line) for line in lines})

    def parameters(self, account_id: int, lines: Iterable[Line]) -> dict[str, Any]:
        """The parameters of ``put`` and ``put_anew``."""
        return self._rows.parameters(
            (
                account_id,
                *map(_parameter, line.key),
                *map(_parameter, line.content),
                *((line.source,) if self._of_trades else ()),
                line.told_at,
            )
            for line in lines
        )

    def line(self, row: Sequence[Any]) -> Line:
        """Return what ``known`` found."""
        begins, ends = len(self._key), len(self._key) + len(self._content)
        source = FillSource(row[ends]) if self._of_trades else None
        return Line(tuple(row[:begins]), tuple(row[begins:ends]), row[-1], source)

    def body(self, line: Line) -> str:
        """Return key and content as JSON, a number with all its digits."""
        return self._json(line.key + line.content, str)

    def digest(self, line: Line) -> str:
        return sha256(self._json(line.key + self.counted(line.content), _trimmed).encode()).hexdigest()

    def difference(self, first: Line, last: Line) -> str:
        """Say of which line the content is another one now, and how."""
        differences = (
            f"{column} {_said(was)} became {_said(now)}"
            for column, was, now, counted, counts in zip(
                self._content,
                first.content,
                last.content,
                self.counted(first.content),
                self.counted(last.content),
                strict=True,
            )
            if counted != counts
        )
        return f"{self._named(first)}: {', '.join(differences)}"

    def reuse(self, line: Line, others: Iterable[Line]) -> str:
        """Say of which line the id was used before."""
        return f"{self._named(line)}, and {' and '.join(f'{self.time_of(other)}' for other in others)}"

    def _named(self, line: Line) -> str:
        named = ", ".join(f"{self._key[place]} {_said(line.key[place])}" for place in self._places)
        return f"{named} at {self.time_of(line)}"

    def _json(self, values: Values, number_text: Callable[[Decimal], str]) -> str:
        members = (
            f"{json.dumps(column)}: {number_text(value) if isinstance(value, Decimal) else _json_text(value)}"
            for column, value in zip(self._key + self._content, values, strict=True)
        )
        return f"{{{', '.join(members)}}}"


async def write_lines(
    connection: AsyncConnection, record: Record, account_id: int, lines: Sequence[Line]
) -> list[Clash]:
    """Write *lines* of one account, in any order and any number of times; return what came again otherwise.

    The account's turn must have been taken: what is read first must still hold when it is written.
    """
    if not lines:
        return []
    rows = await connection.execute(record.known, record.ids_of(lines) | {"account_id": account_id})
    known = {line.key: line for line in map(record.line, rows)}
    stands, superseded = _settled(record, known, lines)
    new = [line for key, line in stands.items() if key not in known or _differ(record, known[key], line)]
    again = [line for key, line in stands.items() if key in known and line != known[key]]
    again = [line for line in again if not _differ(record, known[line.key], line)]
    for statement, written in ((record.put_anew, new), (record.put, again)):
        if written:
            await connection.execute(statement, record.parameters(account_id, written))
    restated = [line for line in new if line.key in known]
    clashes = await _supersede(connection, record, account_id, superseded, restated)
    return [*clashes, *_used_again(record, account_id, known.values(), [line for line in new if line.key not in known])]


def _settled(
    record: Record, known: Mapping[Values, Line], lines: Iterable[Line]
) -> tuple[dict[Values, Line], dict[str, tuple[Line, Line]]]:
    """Return what stands under each key, and by its digest each other content with what stood over it."""
    stands, superseded = dict(known), dict[str, tuple[Line, Line]]()
    for line in lines:
        other = stands.setdefault(line.key, line)
        first, last = (other, line) if _stands_over(record, line, other) else (line, other)
        stands[line.key] = last
        if _differ(record, first, last):
            digest = record.digest(first)
            latest = max(first, superseded.get(digest, (first,))[0], key=attrgetter("rank"))
            superseded[digest] = latest, last
    for line in stands.values():
        if superseded:
            superseded.pop(record.digest(line), None)
    return {key: stands[key] for key in {line.key for line in lines}}, superseded


def _stands_over(record: Record, line: Line, other: Line) -> bool:
    """Whether *line* counts and *other* does not; of two that were told at one moment always the same one does."""
    if line.rank == other.rank and _differ(record, line, other):
        return record.digest(line) > record.digest(other)
    return line.rank > other.rank


def _differ(record: Record, one: Line, other: Line) -> bool:
    return record.counted(one.content) != record.counted(other.content)


async def _supersede(
    connection: AsyncConnection,
    record: Record,
    account_id: int,
    superseded: Mapping[str, tuple[Line, Line]],
    restated: Iterable[Line],
) -> list[Clash]:
    """Keep what does not count, and forget of what counts now that it did not; return what was not known before."""
    if standing := [record.digest(line) for line in restated]:
        given = {"account_id": account_id, "record": record.name, "digests": standing}
        await connection.execute(_STANDS_AGAIN, given)
    if not superseded:
        return []
    rows = [
        (account_id, record.name, digest, record.time_of(line), line.source, line.told_at, record.body(line))
        for digest, (line, _) in superseded.items()
    ]
    kept = await connection.execute(_SUPERSEDE, _SUPERSEDED.parameters(rows))
    return [
        Clash(account_id=account_id, record=record.name, is_restated=True, what=record.difference(*superseded[digest]))
        for digest, is_new in kept
        if is_new
    ]


def _used_again(record: Record, account_id: int, known: Iterable[Line], new: Iterable[Line]) -> Iterator[Clash]:
    """Yield the new lines whose id others have already."""
    others: dict[Values, list[Line]] = {}
    for line in known:
        others.setdefault(record.id_of(line), []).append(line)
    for line in new:
        before = others.setdefault(record.id_of(line), [])
        if before:
            what = record.reuse(line, before)
            yield Clash(account_id=account_id, record=record.name, is_restated=False, what=what)
        before.append(line)


def _parameter(value: Any) -> Any:
    return number(value) if isinstance(value, Decimal) else value


def _json_text(value: Any) -> str:
    return json.dumps(value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value, ensure_ascii=False)


def _trimmed(value: Decimal) -> str:
    """The number without what says nothing: zeros at its end, a sign of zero, an exponent."""
    digits = f"{value:f}"
    digits = digits.rstrip("0").rstrip(".") if "." in digits else digits
    return digits if value else "0"


def _said(value: Any) -> str:
    return "nothing" if value is None else str(value)
