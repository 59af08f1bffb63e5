"""The command line. Each command imports what it needs when it runs, so that help and errors come at once."""

import sys

import typer

from recorder.cli import backfill, check, database, demo, imports, pnl, questions, service, simulate, spool
from recorder.exceptions import ConfigurationError, RecorderError, SpoolInUse, SpoolUnusable

FAILED = 1
DISK = 74
IN_USE = 75
CONFIGURATION = 78
"""Exit codes: 0 ok, 1 the work failed, 2 usage, 69 no database (``run --require-db``), 74 the spool's disk, 75 another
recorder has the spool, 78 configuration, 130 interrupted."""

_CODES: dict[type[RecorderError], int] = {ConfigurationError: CONFIGURATION, SpoolInUse: IN_USE, SpoolUnusable: DISK}

app = typer.Typer(
    name="recorder",
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # its tracebacks show local variables, and with them secrets
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Writes down every position of every Binance USDⓈ-M futures account, exactly, in PostgreSQL.",
    epilog="Try it without keys: recorder demo. Exit codes: 0 ok, 1 the work failed, 2 usage, 78 configuration.",
)
app.command()(demo.demo)
app.command()(service.run)
app.command()(service.snapshot)
app.command("import")(imports.import_answers)
app.command()(check.check)
app.command()(questions.positions)
app.command()(questions.history)
app.command()(pnl.pnl)
app.command()(questions.gaps)
app.command()(backfill.backfill)
app.command()(spool.replay)
app.command("dead-letters")(spool.dead_letters)
app.add_typer(database.app, name="db")
app.command()(simulate.simulate)


def main() -> None:
    """Run the command of this process and leave with its exit code."""
    try:
        app()
    except RecorderError as error:
        from recorder.cli.output import print_error

        print_error(error)
        sys.exit(next((code for kind, code in _CODES.items() if isinstance(error, kind)), FAILED))
    except KeyboardInterrupt:
        sys.exit(130)
