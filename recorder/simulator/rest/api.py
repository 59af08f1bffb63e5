"""REST without sockets: one call in, one reply out, with the fault that it is to meet on its way."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from math import ceil

from recorder.simulator.balances import balance_rows
from recorder.simulator.clock import Clock, epoch_ms
from recorder.simulator.errors import ApiError, unknown_path
from recorder.simulator.frames import Row, json_text
from recorder.simulator.history import income_row, trade_row
from recorder.simulator.knobs import Altered, Ban, Error, Knobs, RequestFault
from recorder.simulator.listen_keys import ListenKeys
from recorder.simulator.rest.call import Call
from recorder.simulator.rest.pages import asked_income, asked_trades
from recorder.simulator.rows import position_rows
from recorder.simulator.traffic import RestCall, Traffic
from recorder.simulator.weight import WeightMeter
from recorder.simulator.world import World

_UNKNOWN_WEIGHT = 1
_BOXES = (
    "ipRestrict",
    "enableReading",
    "enableWithdrawals",
    "enableInternalTransfer",
    "permitsUniversalTransfer",
    "enableFutures",
    "enableMargin",
    "enableSpotAndMarginTrading",
    "enableVanillaOptions",
    "enablePortfolioMarginTrading",
)
Result = Row | list[Row]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer and what is to go wrong in sending it."""

    status: int
    headers: dict[str, str]
    body: str
    fault: RequestFault | None


class RestApi:
    """Answers calls. The world is brought to the present with each, and the weight is that of the WebSocket API."""

    def __init__(
        self,
        world: World,
        *,
        clock: Clock,
        meter: WeightMeter,
        knobs: Knobs,
        traffic: Traffic,
        listen_keys: ListenKeys,
    ) -> None:
        self._world = world
        self._clock = clock
        self._meter = meter
        self._knobs = knobs
        self._traffic = traffic
        self._listen_keys = listen_keys
        self._table: dict[str, tuple[int, Callable[[Call, datetime], Result]]] = {
            "GET /fapi/v1/time": (1, self._time),
            "GET /fapi/v1/income": (30, self._income),
            "GET /fapi/v1/userTrades": (5, self._trades),
            "GET /fapi/v3/balance": (5, self._balance),
            "GET /fapi/v3/positionRisk": (5, self._positions),
            "GET /fapi/v1/accountConfig": (5, self._config),
            "GET /sapi/v1/account/apiRestrictions": (1, self._restrictions),
            "POST /fapi/v1/listenKey": (1, self._start_stream),
            "PUT /fapi/v1/listenKey": (1, self._ping_stream),
            "DELETE /fapi/v1/listenKey": (1, self._stop_stream),
        }

    def reply(self, call: Call) -> Reply:
        now = self._clock.now()
        self._world.advance(now)
        account = call.account(self._world)
        refused = self._meter.refusal(now) is not None
        fault = None if refused else self._knobs.for_request(account.name if account else None, call.name)
        headers = {}
        try:
            result = self._result(call, fault, now)
            status, body = int(HTTPStatus.OK), json_text(result)
        except ApiError as exc:
            status, body = exc.status, json_text({"code": exc.code, "msg": exc.msg})
            refusal = self._meter.refusal(now)
            if refusal is not None:
                headers["Retry-After"] = str(ceil((refusal.until - now).total_seconds()))
        headers["X-MBX-USED-WEIGHT-1M"] = str(self._meter.count)
        self._traffic.rest.append(
            RestCall(
                received_at=self._clock.true_time(),
                account=account.name if account else None,
                method=call.name,
                query=call.query,
                refused=refused,
                status=status,
            )
        )
        return Reply(status=status, headers=headers, body=body, fault=fault)

    def _result(self, call: Call, fault: RequestFault | None, now: datetime) -> Result:
        weight, method = self._table.get(call.name, (_UNKNOWN_WEIGHT, None))
        if isinstance(fault, Ban):
            self._meter.refuse(fault.status, now + fault.length)
        self._meter.charge(weight, now)
        if isinstance(fault, Error):
            raise ApiError(fault.status, fault.code, fault.msg)
        if method is None:
            raise unknown_path(call.name)
        result = method(call, now)
        if isinstance(fault, Altered) and isinstance(result, list):
            return fault.alteration(result)
        return result

    def _time(self, _call: Call, now: datetime) -> Result:
        return {"serverTime": epoch_ms(now)}

    def _income(self, call: Call, now: datetime) -> Result:
        account = call.signed(self._world, now)
        return [income_row(income) for income in asked_income(account, call, now)]

    def _trades(self, call: Call, now: datetime) -> Result:
        account = call.signed(self._world, now)
        return [trade_row(fill, account.instrument(fill.symbol)) for fill in asked_trades(account, call, now)]

    def _balance(self, call: Call, now: datetime) -> Result:
        return balance_rows(call.signed(self._world, now), self._world.market, self._world.now)

    def _positions(self, call: Call, now: datetime) -> Result:
        account = call.signed(self._world, now)
        return position_rows(account, self._world.market, self._world.now, call.text("symbol"))

    def _config(self, call: Call, now: datetime) -> Result:
        account = call.signed(self._world, now)
        return {
            "feeTier": 0,
            "canTrade": True,
            "canDeposit": True,
            "canWithdraw": True,
            "dualSidePosition": account.hedge,
            "multiAssetsMargin": False,
            "tradeGroupId": -1,
            "updateTime": 0,
        }

    def _restrictions(self, call: Call, now: datetime) -> Result:
        ticked = call.signed(self._world, now).ticked
        return {"createTime": 0} | {box: box in ticked for box in _BOXES}

    def _start_stream(self, call: Call, now: datetime) -> Result:
        return {"listenKey": self._listen_keys.start(call.keyed(self._world).name, now)}

    def _ping_stream(self, call: Call, now: datetime) -> Result:
        return {"listenKey": self._listen_keys.ping(call.keyed(self._world).name, now)}

    def _stop_stream(self, call: Call, _now: datetime) -> Result:
        self._listen_keys.stop(call.keyed(self._world).name)
        return {}
