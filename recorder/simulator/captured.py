"""Rows captured from the real exchange, to be served as they are."""

from pathlib import Path

import msgspec

from recorder.exceptions import ConfigurationError


class _Envelope(msgspec.Struct):
    result: list[msgspec.Raw]


class _Row(msgspec.Struct):
    symbol: str


def captured_rows(file: Path) -> tuple[str, ...]:
    """Return the JSON texts of the rows in *file*, not one character changed.

    The file is an answer with ``result``, an array of rows, or a single row.

    Raises:
        ConfigurationError: The file cannot be read, or is none of these.
    """
    try:
        content = file.read_bytes()
        match content.lstrip()[:1]:
            case b"[":
                rows = msgspec.json.decode(content, type=list[msgspec.Raw])
            case b"{" if "result" in msgspec.json.decode(content, type=dict[str, msgspec.Raw]):
                rows = msgspec.json.decode(content, type=_Envelope).result
            case _:
                rows = [msgspec.Raw(content.strip())]
        for row in rows:
            msgspec.json.decode(row, type=_Row)
        return tuple(bytes(row).decode() for row in rows)
    except OSError as exc:
        raise ConfigurationError(
            f"{file} cannot be read", why=exc.strerror or str(exc), fix="give the path of a readable file"
        ) from exc
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise ConfigurationError(
            f"{file} has no position rows",
            why=str(exc),
            fix="give a saved answer of v2/account.position: the whole answer, its array of rows, or one row",
        ) from exc


def symbol_of(row: str) -> str:
    return msgspec.json.decode(row, type=_Row).symbol
