"""A request over HTTP: its parameters, and whether whoever sent it may."""

from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import parse_qsl, unquote

from recorder.simulator import errors
from recorder.simulator.account import Account
from recorder.simulator.request import check_time, known_account
from recorder.simulator.world import World

_SIGNATURE = "signature="


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request.

    Attributes:
        query: What is behind the question mark and the body, exactly as sent: this is what a signature signs.
    """

    method: str
    path: str
    query: str = ""
    api_key: str = field(default="", repr=False)

    @property
    def name(self) -> str:
        """For instance ``GET /fapi/v1/income``."""
        return f"{self.method} {self.path}"

    def text(self, parameter: str) -> str | None:
        """Return a parameter, percent-decoded; ``None`` if it was not sent or is empty."""
        return dict(parse_qsl(self.query)).get(parameter)

    def number(self, parameter: str) -> int | None:
        """Return a whole number, ``None`` if it was not sent.

        Raises:
            ApiError: -1102, it is none.
        """
        text = self.text(parameter)
        if text is None:
            return None
        if not text.isdecimal():
            raise errors.missing(parameter)
        return int(text)

    def account(self, world: World) -> Account | None:
        """Return whose request this claims to be, without asking for proof."""
        return world.account(self.api_key)

    def keyed(self, world: World) -> Account:
        """Return the account whose key the header carries.

        Raises:
            ApiError: -2014, -2015.
        """
        return known_account(self.api_key, world)

    def signed(self, world: World, now: datetime) -> Account:
        """Return the account that signed the request in time; the signature must be its last parameter.

        Raises:
            ApiError: -1102, -2014, -2015, -1131, -1021, -1022.
        """
        account = self.keyed(world)
        payload, _, last = self.query.rpartition("&")
        timestamp = self.number("timestamp")
        if timestamp is None:
            raise errors.missing("timestamp")
        if self.text("signature") is None:
            raise errors.missing("signature")
        check_time(timestamp, self.number("recvWindow"), now)
        signature = unquote(last.removeprefix(_SIGNATURE))
        if not last.startswith(_SIGNATURE) or not account.key.verifies(payload.encode(), signature):
            raise errors.invalid_signature()
        return account
