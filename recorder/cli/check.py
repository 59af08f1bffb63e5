"""``recorder check``: whether everything that recording needs is there."""

import typer

from recorder.cli.options import Config, Json, Verbosity


def check(json: Json = False, config: Config = None, log_level: Verbosity = "warning") -> None:
    """Check configuration, database, exchange, clock and every key; change nothing.

    Each line says ok, or what is wrong, why, and what mends it. Exit code 1 when anything fails, 0 with warnings.
    """
    import asyncio

    from recorder.cli.finding import Finding, Grade
    from recorder.cli.findings import findings
    from recorder.cli.output import print_findings, print_json
    from recorder.cli.settings import load

    settings = load(config, log_level)

    async def collect() -> list[Finding]:
        return [finding async for finding in findings(settings)]

    found = asyncio.run(collect())
    if json:
        print_json([finding.as_dict() for finding in found])
    else:
        print_findings([finding.as_dict() for finding in found])
    if any(finding.grade is Grade.FAIL for finding in found):
        raise typer.Exit(1)
