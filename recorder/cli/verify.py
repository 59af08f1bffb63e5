"""``recorder verify``: the proof, from the database alone."""

from typing import Annotated

import typer

from recorder.cli.options import Account, Config, Json, Since, Verbosity


def verify(
    since: Since = None,
    account: Account = None,
    examples: Annotated[int, typer.Option("--examples", min=1, max=1000, help="Examples of each violation.")] = 5,
    json: Json = False,
    config: Config = None,
    log_level: Verbosity = "warning",
) -> None:
    """Prove from the database alone that nothing is missing, doubled or contradictory, and that the books balance.

    Prints what was checked, and how much of it. Exit code 1 when any promise is broken. Nothing is written. The role
    must be a member of recorder_writer, or the owner of the schema.

    Example: recorder verify --since 7d
    """
    from recorder.cli.proof import prove

    prove(since, account, examples, json=json, config=config, log_level=log_level)
