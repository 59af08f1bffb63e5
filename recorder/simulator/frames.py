"""Answers as they go over the wire: one JSON text per frame, put together from parts that are JSON already."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

Row = dict[str, Any]

_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def json_text(value: object) -> str:
    """Return compact JSON; names are written as they are, not escaped to ASCII."""
    return _ENCODER.encode(value)


def array_text(rows: tuple[str, ...]) -> str:
    return f"[{','.join(rows)}]"


def rate_limits_text(limit: int, count: int) -> str:
    return json_text(
        [
            {
                "rateLimitType": "REQUEST_WEIGHT",
                "interval": "MINUTE",
                "intervalNum": 1,
                "limit": limit,
                "count": count,
            }
        ]
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer. The values are JSON texts.

    Attributes:
        request_id: ``null`` when the exchange cannot say what it answers.
        body: The value of ``result`` if ``status`` is 200, else of ``error``.
        rows: The position rows in ``body``, if that is what was asked for.
    """

    request_id: str
    status: int
    body: str
    rate_limits: str | None = None
    rows: tuple[str, ...] | None = None

    def text(self, *, without: str = "") -> str:
        """Return the frame; *without* is the name of a member to leave out, in breach of the protocol."""
        members: Mapping[str, str | None] = {
            "id": self.request_id,
            "status": str(self.status),
            "result" if self.status == HTTPStatus.OK else "error": self.body,
            "rateLimits": self.rate_limits,
        }
        parts = (f'"{name}":{text}' for name, text in members.items() if text is not None and name != without)
        return f"{{{','.join(parts)}}}"
