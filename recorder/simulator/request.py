"""A request as it arrives, and whether whoever sent it may."""

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from recorder.simulator import errors
from recorder.simulator.account import Account
from recorder.simulator.clock import epoch_ms
from recorder.simulator.frames import json_text
from recorder.simulator.keys import signed_payload, well_formed
from recorder.simulator.session import Session
from recorder.simulator.world import World

_AHEAD_MS = 1_000
_DEFAULT_WINDOW_MS, _LARGEST_WINDOW_MS = 5_000, 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request.

    Attributes:
        request_id: As JSON text.
    """

    request_id: str = "null"
    method: str = ""
    params: dict[str, Any] = field(default_factory=dict, repr=False)


def parse_request(message: str | bytes) -> Request:
    """Read one frame.

    Raises:
        ApiError: It is no request.
    """
    try:
        content = json.loads(message)
    except ValueError as exc:
        raise errors.invalid_json() from exc
    match content:
        case {"id": int() | str() | None as request_id, "method": str(method), **others}:
            params = others.get("params", {})
            if isinstance(params, dict):
                return Request(request_id=json_text(request_id), method=method, params=params)
        case _:
            pass
    raise errors.invalid_json()


def account_of(request: Request, session: Session, world: World) -> Account | None:
    """Return whose request this claims to be, without asking for proof."""
    match request.params.get("apiKey"):
        case str(api_key):
            return world.account(api_key)
        case _:
            return session.account


def account_by_key(request: Request, session: Session, world: World) -> Account:
    """Return the account whose key the request carries, or that logged on.

    Raises:
        ApiError: -1102, -2014, -2015.
    """
    if "apiKey" not in request.params and session.account is not None:
        return session.account
    return known_account(_text(request, "apiKey"), world)


def known_account(api_key: str, world: World) -> Account:
    """Return the account that has the key.

    Raises:
        ApiError: -2014, -2015.
    """
    if not well_formed(api_key):
        raise errors.bad_key_format()
    account = world.account(api_key)
    if account is None:
        raise errors.rejected_key()
    return account


def account_by_signature(request: Request, session: Session, world: World, now: datetime) -> Account:
    """Return the account that signed the request in time, or that logged on.

    Raises:
        ApiError: -1102, -2014, -2015, -1131, -1021, -1022.
    """
    timestamp = _milliseconds(request, "timestamp")
    logged_on = "apiKey" not in request.params and session.account is not None
    signature = "" if logged_on else _text(request, "signature")
    account = account_by_key(request, session, world)
    window = _milliseconds(request, "recvWindow") if "recvWindow" in request.params else None
    check_time(timestamp, window, now)
    if not logged_on and not account.key.verifies(signed_payload(request.params), signature):
        raise errors.invalid_signature()
    return account


def check_time(timestamp: int, window: int | None, now: datetime) -> None:
    """Accept a request that is neither from the future nor older than its *window*, all in milliseconds.

    Raises:
        ApiError: -1131, -1021.
    """
    if window is None:
        window = _DEFAULT_WINDOW_MS
    if window > _LARGEST_WINDOW_MS:
        raise errors.receive_window_too_large()
    server_time = epoch_ms(now)
    if timestamp >= server_time + _AHEAD_MS:
        raise errors.ahead_of_time()
    if server_time - timestamp > window:
        raise errors.outside_receive_window()


def _milliseconds(request: Request, parameter: str) -> int:
    match request.params.get(parameter):
        case bool():
            raise errors.missing(parameter)
        case int(number):
            return number
        case _:
            raise errors.missing(parameter)


def _text(request: Request, parameter: str) -> str:
    match request.params.get(parameter):
        case str(text) if text:
            return text
        case _:
            raise errors.missing(parameter)
