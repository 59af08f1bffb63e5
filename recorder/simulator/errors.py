"""What the exchange says when it refuses a request."""

from datetime import datetime
from typing import Any

from recorder.simulator.clock import epoch_ms


class ApiError(Exception):
    """A refusal, as it goes into an answer.

    Attributes:
        status: Like an HTTP status.
        data: Further members of the error, only on 429 and 418.
    """

    def __init__(self, status: int, code: int, msg: str, data: dict[str, Any] | None = None) -> None:
        super().__init__(status, code, msg)
        self.status = status
        self.code = code
        self.msg = msg
        self.data = data

    def member(self) -> dict[str, Any]:
        """Return the value of ``error``."""
        member: dict[str, Any] = {"code": self.code, "msg": self.msg}
        return member if self.data is None else {**member, "data": self.data}


def invalid_json() -> ApiError:
    return ApiError(400, -1135, "Invalid JSON Request")


def unknown_method(method: str) -> ApiError:
    return ApiError(400, -1100, f"Illegal characters found in parameter 'method'; there is no '{method}'.")


def missing(parameter: str) -> ApiError:
    return ApiError(400, -1102, f"Mandatory parameter '{parameter}' was not sent, was empty/null, or malformed.")


def bad_symbol() -> ApiError:
    return ApiError(400, -1121, "Invalid symbol.")


def receive_window_too_large() -> ApiError:
    return ApiError(400, -1131, "recvWindow must be less than 60000")


def ahead_of_time() -> ApiError:
    return ApiError(400, -1021, "Timestamp for this request was 1000ms ahead of the server's time.")


def outside_receive_window() -> ApiError:
    return ApiError(400, -1021, "Timestamp for this request is outside of the recvWindow.")


def invalid_signature() -> ApiError:
    return ApiError(400, -1022, "Signature for this request is not valid.")


def bad_key_format() -> ApiError:
    return ApiError(401, -2014, "API-key format invalid.")


def rejected_key() -> ApiError:
    return ApiError(401, -2015, "Invalid API-key, IP, or permissions for action.")


def logon_needs_ed25519() -> ApiError:
    return ApiError(400, -1099, "Not found, authenticated, or authorized. Only Ed25519 keys can log on.")


def no_listen_key() -> ApiError:
    return ApiError(400, -1125, "This listenKey does not exist.")


def unknown_path(method: str) -> ApiError:
    return ApiError(404, -5000, f"Path and method {method} are invalid.")


def start_after_end() -> ApiError:
    return ApiError(400, -1023, "Start time is greater than end time.")


def interval_too_long(days: int) -> ApiError:
    return ApiError(400, -1127, f"More than {days} days between startTime and endTime.")


def bad_combination(parameters: str) -> ApiError:
    return ApiError(400, -1128, f"Combination of optional parameters invalid: {parameters}.")


def bad_parameter(parameter: str) -> ApiError:
    return ApiError(400, -1130, f"Data sent for parameter '{parameter}' is not valid.")


def slow_down(limit: int, *, until: datetime, now: datetime) -> ApiError:
    """The limit of the minute is used up; the next minute is another try."""
    msg = (
        f"Too many requests; current limit of IP(127.0.0.1) is {limit} requests per minute. "
        "Please use the websocket for live updates to avoid polling the API."
    )
    return ApiError(429, -1003, msg, _wait(until, now))


def banned(*, until: datetime, now: datetime) -> ApiError:
    """The address went on after it was told to slow down."""
    msg = (
        f"Way too many requests; IP(127.0.0.1) banned until {epoch_ms(until)}. "
        "Please use the websocket for live updates to avoid bans."
    )
    return ApiError(418, -1003, msg, _wait(until, now))


def _wait(until: datetime, now: datetime) -> dict[str, Any]:
    return {"serverTime": epoch_ms(now), "retryAfter": epoch_ms(until)}
