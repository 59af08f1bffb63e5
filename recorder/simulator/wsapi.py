"""The WebSocket API without sockets: one frame in, one answer out, with the fault that it is to meet on its way."""

import json
from dataclasses import dataclass
from datetime import datetime

from recorder.simulator.clock import Clock
from recorder.simulator.errors import ApiError
from recorder.simulator.frames import Answer, array_text, json_text, rate_limits_text
from recorder.simulator.knobs import Altered, Ban, Error, Knobs, Late, RequestFault
from recorder.simulator.listen_keys import ListenKeys
from recorder.simulator.methods import Methods, Result
from recorder.simulator.request import Request, account_of, parse_request
from recorder.simulator.session import Session
from recorder.simulator.traffic import Received, Traffic
from recorder.simulator.weight import WeightMeter
from recorder.simulator.world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer and what is to go wrong in sending it."""

    received: Received
    answer: Answer
    fault: RequestFault | None

    @property
    def is_late(self) -> bool:
        """Whether others may overtake it."""
        return isinstance(self.fault, Late)


class WsApi:
    """Answers requests. The world is brought to the present with each."""

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
        self.methods = Methods(world, listen_keys)
        self._world = world
        self._clock = clock
        self._meter = meter
        self._knobs = knobs
        self._traffic = traffic

    def reply(self, message: str | bytes, session: Session) -> Reply:
        now = self._clock.now()
        self._world.advance(now)
        try:
            request, malformed = parse_request(message), None
        except ApiError as exc:
            request, malformed = Request(), exc
        received = self._received(request, session, now)
        fault = None if received.refused else self._knobs.for_request(received.account, received.method)
        try:
            self._admit(request, fault, now)
            if malformed is not None:
                raise malformed
            result = self.methods.call(request, session, now)
        except ApiError as exc:
            answer = self._refusal(request, session, exc, fault)
        else:
            answer = self._success(request, session, _altered(result, fault))
        return Reply(received=received, answer=answer, fault=fault)

    def _received(self, request: Request, session: Session, now: datetime) -> Received:
        account = account_of(request, session, self._world)
        received = Received(
            received_at=self._clock.true_time(),
            account=account.name if account else None,
            method=request.method,
            request_id=request.request_id,
            refused=self._meter.refusal(now) is not None,
        )
        self._traffic.requests.append(received)
        return received

    def _admit(self, request: Request, fault: RequestFault | None, now: datetime) -> None:
        if isinstance(fault, Ban):
            self._meter.refuse(fault.status, now + fault.length)
        self._meter.charge(self.methods.weight(request.method), now)
        if isinstance(fault, Error):
            raise ApiError(fault.status, fault.code, fault.msg, fault.data)

    def _refusal(self, request: Request, session: Session, error: ApiError, fault: RequestFault | None) -> Answer:
        anonymous = isinstance(fault, Error) and fault.anonymous
        return Answer(
            request_id="null" if anonymous else request.request_id,
            status=error.status,
            body=json_text(error.member()),
            rate_limits=self._rate_limits(request, session),
        )

    def _success(self, request: Request, session: Session, result: Result) -> Answer:
        return Answer(
            request_id=request.request_id,
            status=200,
            body=result if isinstance(result, str) else array_text(result),
            rate_limits=self._rate_limits(request, session),
            rows=None if isinstance(result, str) else result,
        )

    def _rate_limits(self, request: Request, session: Session) -> str | None:
        wanted = request.params.get("returnRateLimits", session.return_rate_limits)
        return rate_limits_text(self._meter.limit, self._meter.count) if wanted else None


def _altered(result: Result, fault: RequestFault | None) -> Result:
    if isinstance(result, str) or not isinstance(fault, Altered):
        return result
    return tuple(json_text(row) for row in fault.alteration([json.loads(row) for row in result]))
