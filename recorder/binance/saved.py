"""Saved answers: what the exchange once said, read from a file."""

from collections.abc import Iterator
from typing import Any

from recorder.binance.messages import WireError, converted, decode_json
from recorder.binance.rows import parse_positions
from recorder.domain.position import Key, Position
from recorder.exceptions import MalformedAnswer

_OK = 200
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def decode_saved(data: bytes) -> list[tuple[Position, ...]]:
    """Return the answers in a file, each with its rows.

    The file is one JSON document or one per line; a document is an answer with its envelope, an array of rows, or a
    single row. Single rows that follow one another are one answer, until a symbol and side come again. Raises
    MalformedAnswer when anything in the file is none of these, or is an answer that was not a success.
    """
    answers: list[tuple[Position, ...]] = []
    loose: dict[Key, Position] = {}
    for document, rows in _documents(data.removeprefix(_BYTE_ORDER_MARK)):
        row = rows[0] if _is_row(document) else None
        if loose and (row is None or row.key in loose):
            answers.append(tuple(loose.values()))
            loose = {}
        if row is None:
            answers.append(rows)
        else:
            loose[row.key] = row
    return [*answers, tuple(loose.values())] if loose else answers


def _documents(text: bytes) -> Iterator[tuple[Any, tuple[Position, ...]]]:
    lines = [(number, line) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
    try:
        document = decode_json(text)
    except MalformedAnswer:
        # One document, however it is broken into lines, unless the first line is one by itself.
        if len(lines) < 2 or not _is_json(lines[0][1]):  # noqa: PLR2004
            raise
    else:
        yield document, _rows(document)
        return
    for number, line in lines:
        try:
            document = decode_json(line)
            rows = _rows(document)
        except MalformedAnswer as exc:
            raise MalformedAnswer(f"Line {number}: {exc.what}", why=exc.why, fix=exc.fix) from exc
        yield document, rows


def _is_json(text: bytes) -> bool:
    try:
        decode_json(text)
    except MalformedAnswer:
        return False
    return True


def _is_row(document: Any) -> bool:
    return isinstance(document, dict) and not document.keys() & {"status", "result", "error"}


def _rows(document: Any) -> tuple[Position, ...]:
    if not isinstance(document, dict):
        return parse_positions(document)
    if _is_row(document):
        return parse_positions([document])
    if document.get("status", _OK) != _OK or "error" in document:
        error = converted(document.get("error", {}), WireError, "error")
        raise MalformedAnswer(
            f"This answer is a refusal, status {document.get('status')}, code {error.code}: {error.msg}",
            why="The exchange did not tell any positions in it, which is not the same as there being none.",
            fix="Take this answer out of the file.",
        )
    return parse_positions(document.get("result"))
