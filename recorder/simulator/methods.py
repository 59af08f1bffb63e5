"""The methods of the WebSocket API, with their weights."""

from collections.abc import Callable
from datetime import datetime

from recorder.simulator import errors
from recorder.simulator.balances import account_status, balance_rows
from recorder.simulator.captured import symbol_of
from recorder.simulator.frames import json_text
from recorder.simulator.keys import Ed25519Key
from recorder.simulator.listen_keys import ListenKeys
from recorder.simulator.request import Request, account_by_key, account_by_signature
from recorder.simulator.session import Session
from recorder.simulator.world import World

Result = str | tuple[str, ...]
"""JSON text, or the JSON texts of position rows."""

_UNKNOWN_WEIGHT = 1


class Methods:
    """What can be asked.

    Attributes:
        captured: Rows to answer with instead of the world's, by account name; ``None`` stands for every other account.
    """

    def __init__(self, world: World, listen_keys: ListenKeys) -> None:
        self.captured: dict[str | None, tuple[str, ...]] = {}
        self._world = world
        self._listen_keys = listen_keys
        self._table: dict[str, tuple[int, Callable[[Request, Session, datetime], Result]]] = {
            "v2/account.position": (5, self._positions),
            "v2/account.balance": (5, self._balance),
            "v2/account.status": (5, self._status),
            "session.logon": (2, self._logon),
            "session.status": (2, self._session),
            "session.logout": (2, self._logout),
            "userDataStream.start": (1, self._start_stream),
            "userDataStream.ping": (1, self._ping_stream),
            "userDataStream.stop": (1, self._stop_stream),
        }

    def weight(self, method: str) -> int:
        """Return what a request costs, also when it is refused."""
        weight, _ = self._table.get(method, (_UNKNOWN_WEIGHT, None))
        return weight

    def call(self, request: Request, session: Session, now: datetime) -> Result:
        """Do what was asked.

        Raises:
            ApiError: It is not allowed, or not understood.
        """
        if request.method not in self._table:
            raise errors.unknown_method(request.method)
        _, method = self._table[request.method]
        return method(request, session, now)

    def _positions(self, request: Request, session: Session, now: datetime) -> Result:
        account = account_by_signature(request, session, self._world, now)
        symbol = request.params.get("symbol")
        captured = self.captured.get(account.name, self.captured.get(None))
        if captured is not None:
            return tuple(row for row in captured if symbol in {None, symbol_of(row)})
        if symbol is not None and symbol not in self._world.market.instruments:
            raise errors.bad_symbol()
        return self._world.position_rows(account, symbol)

    def _balance(self, request: Request, session: Session, now: datetime) -> Result:
        account = account_by_signature(request, session, self._world, now)
        return json_text(balance_rows(account, self._world.market, self._world.now))

    def _status(self, request: Request, session: Session, now: datetime) -> Result:
        account = account_by_signature(request, session, self._world, now)
        return json_text(account_status(account, self._world.market, self._world.now))

    def _logon(self, request: Request, session: Session, now: datetime) -> Result:
        if "apiKey" not in request.params:
            raise errors.missing("apiKey")
        account = account_by_signature(request, session, self._world, now)
        if not isinstance(account.key, Ed25519Key):
            raise errors.logon_needs_ed25519()
        session.log_on(account, now)
        return json_text(session.describe(now))

    def _session(self, _request: Request, session: Session, now: datetime) -> Result:
        return json_text(session.describe(now))

    def _logout(self, _request: Request, session: Session, now: datetime) -> Result:
        session.log_out()
        return json_text(session.describe(now))

    def _start_stream(self, request: Request, session: Session, now: datetime) -> Result:
        account = account_by_key(request, session, self._world)
        return json_text({"listenKey": self._listen_keys.start(account.name, now)})

    def _ping_stream(self, request: Request, session: Session, now: datetime) -> Result:
        account = account_by_key(request, session, self._world)
        return json_text({"listenKey": self._listen_keys.ping(account.name, now)})

    def _stop_stream(self, request: Request, session: Session, _now: datetime) -> Result:
        self._listen_keys.stop(account_by_key(request, session, self._world).name)
        return "{}"
