"""``recorder demo``: everything, without keys."""

from datetime import timedelta
from typing import Annotated

import typer

from recorder.cli.options import Verbosity, parse_duration


def demo(
    days: Annotated[int, typer.Option("--days", min=0, max=90, help="Simulated days to record first.")] = 3,
    duration: Annotated[
        timedelta | None,
        typer.Option(
            "--for",
            metavar="DURATION",
            parser=parse_duration,
            help="Then record live for so long: 30s, 5m. Default: until Ctrl-C.",
        ),
    ] = None,
    log_level: Verbosity = "error",
) -> None:
    """Show the recorder at work: a simulated exchange, embedded PostgreSQL and the recorder, no keys needed.

    First some simulated days are recorded as fast as this machine can, then it goes on live through real sockets:
    until Ctrl-C on a terminal, else for 30 s. At the end it prints what was recorded and removes it.
    """
    import asyncio

    from recorder.cli.showing import show

    asyncio.run(show(days, duration, log_level))
