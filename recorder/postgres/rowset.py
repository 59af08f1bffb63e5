"""Row sets: many rows to PostgreSQL in one statement, one array a column.

Numbers travel as the text of their array, which the server parses faster than Python encodes one by one, and no digit
can be lost on the way.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

_PLACEHOLDERS = {  # how a parameter becomes the array of a column
    "numeric": "CAST(CAST(:{name} AS text) AS numeric[])",
    "jsonb": "CAST(:{name} AS text[])",
}


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
            _PLACEHOLDERS.get(kind, "CAST(:{name} AS {kind}[])").format(name=name, kind=kind)
            for name, kind in self._columns.items()
        )
        values = ", ".join(
            f'"{name}"::jsonb' if kind == "jsonb" else f'"{name}"' for name, kind in self._columns.items()
        )
        self.names = ", ".join(f'"{name}"' for name in self._columns)
        self.rows = f"SELECT {values} FROM unnest({arrays}) AS given ({self.names})"
        self.replace = ", ".join(f'"{name}" = excluded."{name}"' for name in columns)

    def parameters(self, rows: Iterable[Sequence[Any]]) -> dict[str, Any]:
        """Turn rows, each in the order of the columns and with numbers as ``number`` gives them, into parameters."""
        columns: list[Sequence[Any]] = list(zip(*rows, strict=True)) or [()] * len(self._columns)
        return {
            name: _array(column) if kind == "numeric" else list(column)
            for (name, kind), column in zip(self._columns.items(), columns, strict=True)
        }


def number(value: Decimal | None) -> str | None:
    """The text of a number with every digit it has, as ``NUMERIC`` reads it."""
    return None if value is None else str(value)


def _array(numbers: Sequence[str | None]) -> str:
    """The text of an array of numbers. No number has a character that must be quoted there."""
    return "{" + ",".join(["NULL" if each is None else each for each in numbers]) + "}"
