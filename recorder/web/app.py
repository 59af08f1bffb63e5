"""What the service shows of itself over HTTP: GET only, no database asked, no secret to be seen."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from recorder.metrics import CONTENT_TYPE

OK = 200
UNAVAILABLE = 503


@dataclass(frozen=True, slots=True)
class Report:
    """The answer to a question about health: whether all is well, and the reasons for either.

    Attributes:
        standby: All is well, and another recorder does the work.
    """

    well: bool
    reasons: Mapping[str, str]
    standby: bool = False


def create_app(
    health: Callable[[], Report], readiness: Callable[[], Report], metrics: Callable[[], bytes]
) -> Starlette:
    """Return the application: ``/healthz`` (process and tasks), ``/readyz`` (data flow) and ``/metrics``."""

    async def healthz(_: Request) -> Response:
        return _answer(health())

    async def readyz(_: Request) -> Response:
        return _answer(readiness())

    async def exposition(_: Request) -> Response:
        return Response(metrics(), media_type=CONTENT_TYPE)

    return Starlette(
        routes=[
            Route("/healthz", healthz, methods=["GET"]),
            Route("/readyz", readyz, methods=["GET"]),
            Route("/metrics", exposition, methods=["GET"]),
        ]
    )


def _answer(report: Report) -> JSONResponse:
    status = "standby" if report.standby else "ok" if report.well else "unavailable"
    return JSONResponse(
        {"status": status, "reasons": dict(report.reasons)},
        status_code=OK if report.well else UNAVAILABLE,
    )
