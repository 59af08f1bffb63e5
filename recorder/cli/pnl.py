"""``recorder pnl``: what accounts earned."""

from pathlib import Path
from typing import Annotated

import typer

from recorder.cli.options import Account, Config, Json, Since, Symbol, Verbosity
from recorder.cli.span import Unit, span_of


def _picture_name(name: str) -> Path:
    path = Path(name)
    if path.suffix.lower() not in {".png", ".svg"}:
        raise typer.BadParameter(f"{name!r} names no picture; let it end in .png or .svg")
    return path


def pnl(
    account: Account = None,
    symbol: Symbol = None,
    since: Since = None,
    by: Annotated[Unit, typer.Option("--by", help="Buckets of the calendar in UTC.")] = Unit.DAY,
    plot: Annotated[
        bool, typer.Option("--plot", help="Draw the curve of net profit here instead of the table.")
    ] = False,
    png: Annotated[
        Path | None,
        typer.Option(
            "--png",
            metavar="FILE",
            parser=_picture_name,
            help="Draw the curve into a picture: PNG, or SVG when its name ends in .svg.",
        ),
    ] = None,
    json: Json = False,
    config: Config = None,
    log_level: Verbosity = "warning",
) -> None:
    """Show what accounts earned: realised profit before fees, commission, funding, and their sum, net profit.

    One row per account, bucket and asset; assets are never added up. Money is signed as profit: commission and
    funding are negative when paid. Net profit is what the bucket brought into the wallet; unrealised profit stands
    beside it, as it was at the bucket's last ok snapshot. "-" means not known: nobody watched and nothing is booked.
    Each account's buckets begin with its first record. Without --since: the last 2 days by hour, 30 days by day, 12
    months by month, and the bucket that is under way.

    --plot and --png draw net profit with unrealised profit in it, cumulative since the account's first ok snapshot,
    as in bi.pnl_series: from --since on, as finely as the picture shows. The line breaks where nobody watched.

    Examples: recorder pnl --by month --since 2026-01-01, and: recorder pnl --account main --since 7d --plot
    """
    if plot and png:
        raise typer.BadParameter("choose one of --plot and --png", param_hint="--png")
    if json and (plot or png):
        raise typer.BadParameter(
            "a drawing has no JSON; leave out --plot and --png for its numbers", param_hint="--json"
        )

    from recorder.cli import earnings

    span = span_of(since, by)
    if plot:
        earnings.plot(account, symbol, span, config=config, log_level=log_level)
    elif png:
        earnings.save(account, symbol, span, png, config=config, log_level=log_level)
    else:
        earnings.show(account, symbol, span, by, json=json, config=config, log_level=log_level)
