"""``recorder simulate``: the simulated exchange alone."""

from pathlib import Path
from typing import Annotated

import typer

from recorder.cli.options import Verbosity


def simulate(
    port: Annotated[int, typer.Option("--port", "-p", help="Port on 127.0.0.1; 0 takes a free one.")] = 9443,
    accounts: Annotated[int, typer.Option("--accounts", min=1, max=1000, help="How many accounts trade.")] = 2,
    positions: Annotated[int, typer.Option("--positions", min=1, max=100, help="About how many each holds.")] = 6,
    seed: Annotated[int, typer.Option("--seed", help="The same seed gives the same market and trades.")] = 1,
    rows: Annotated[
        Path | None, typer.Option("--rows", metavar="FILE", help="Answer with the position rows in this file instead.")
    ] = None,
    log_level: Verbosity = "info",
) -> None:
    """Run a simulated exchange on this machine, and print the settings that point a recorder at it.

    Example, in two terminals: recorder simulate > recorder.toml, and: recorder run
    """
    import asyncio
    import logging
    import tempfile
    from datetime import UTC, datetime

    from recorder.cli.signals import stop_signals
    from recorder.logs import configure_logging
    from recorder.simulator.exchange import Simulator
    from recorder.simulator.scenario import Scenario
    from recorder.simulator.settings import settings_text
    from recorder.simulator.trader import Habits

    configure_logging(log_level, json=None, secrets=())

    async def serve(keys: Path) -> None:
        world = Scenario(accounts=accounts, habits=Habits(positions=positions)).world(seed, datetime.now(UTC))
        async with Simulator(world, port=port) as exchange:
            if rows is not None:
                exchange.serve_rows(rows)
            typer.echo(settings_text(exchange, world.accounts.values(), keys))
            logging.getLogger(__name__).info("the simulated exchange listens on %s", exchange.ws_api_url)
            await stop_signals().wait()

    with tempfile.TemporaryDirectory(prefix="recorder-simulate-") as keys:
        asyncio.run(serve(Path(keys)))
