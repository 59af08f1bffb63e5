"""Row sets: many rows to PostgreSQL in one statement, one array a column.

Numbers travel as text and the server casts them: it parses text faster than Python encodes decimals, and no digit
can be lost on the way.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

_SENT_AS_TEXT = frozenset({"numeric", "jsonb"})


class RowSet:
    """The columns of a table that rows are written to, each with its type.

    Attributes:
        names: The columns, for ``INSERT INTO … (names)``.
        rows: A ``SELECT`` of all rows given by the parameters of the same names.
        replace: ``column = excluded.column`` for every column but those of the key.
    """

    def __init__(self, key: dict[str, str], columns: dict[str, str]) -> None:
        self._columns = key | columns
        arrays = ", ".join(
            f"CAST(:{name} AS {'text' if kind in _SENT_AS_TEXT else kind}[])" for name, kind in self._columns.items()
        )
        casts = ", ".join(
            f'"{name}"::{kind}' if kind in _SENT_AS_TEXT else f'"{name}"' for name, kind in self._columns.items()
        )
        self.names = ", ".join(f'"{name}"' for name in self._columns)
        self.rows = f"SELECT {casts} FROM unnest({arrays}) AS given ({self.names})"
        self.replace = ", ".join(f'"{name}" = excluded."{name}"' for name in columns)

    def parameters(self, rows: Iterable[Sequence[Any]]) -> dict[str, list[Any]]:
        """Turn rows, each in the order of the columns, into the arrays of one statement."""
        columns = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in self._columns]
        return dict(zip(self._columns, columns, strict=True))


def number(value: Decimal | None) -> str | None:
    """The text of a number with every digit it has, as ``NUMERIC`` reads it."""
    return None if value is None else str(value)
