"""Findings: what a look at everything that recording needs brings to light."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial

from sqlalchemy.ext.asyncio import AsyncEngine

from recorder.access import credentials, open_client
from recorder.binance.client import Client
from recorder.binance.signing import Credentials
from recorder.cli.doubts import CLOCK_TOLERANCE, doubts_about, doubts_about_key
from recorder.cli.finding import Finding, Grade
from recorder.cli.output import show_duration
from recorder.config.settings import Settings
from recorder.config.size import format_size
from recorder.exceptions import ExchangeError, RecorderError, SchemaMismatch
from recorder.postgres.database import open_database, require_same_schema
from recorder.postgres.engine import create_engine
from recorder.postgres.partitions import overdue_partitions
from recorder.postgres.questions import server_facts
from recorder.postgres.tables import REVISION
from recorder.spool.estimate import ROWS, lasts

_OLDEST = 15
_CONNECT = timedelta(seconds=10)


async def findings(settings: Settings) -> AsyncIterator[Finding]:
    """Yield what is found, subject by subject. Only asks: writes nothing and changes nothing."""
    every, names = settings.snapshot.every, [each.name for each in settings.accounts]
    source = f"from {settings.file}" if settings.file else "from the environment"
    yield Finding(
        "configuration",
        Grade.OK,
        f"{source}: {len(names)} account(s) every {every.total_seconds():g} s: {', '.join(names)}",
    )
    yield _spool(settings)
    for warning in settings.warnings():
        yield Finding("configuration", Grade.WARN, warning)
    try:
        plain = partial(create_engine, session={"application_name": "position-recorder"})  # to see what others see
        async with open_database(settings.database_url, settings.data_dir, engine_of=plain) as engine:
            async for finding in _database(engine, settings):
                yield finding
    except RecorderError as error:
        yield Finding.of("database", error)
    try:
        accounts = credentials(settings)
        async with open_client(settings) as client:
            async for finding in _exchange(client, accounts, settings):
                yield finding
    except RecorderError as error:
        yield Finding.of("exchange", error)


def _spool(settings: Settings) -> Finding:
    limit, accounts, every = settings.storage.spool_limit, len(settings.accounts), settings.snapshot.every
    quiet, busy = (
        show_duration(lasts(limit, accounts=accounts, every=every, events_per_second=rate)) for rate in (0, 1)
    )
    what = f"{format_size(limit)} for {accounts} account(s) with {ROWS} positions is {quiet} without a database"
    return Finding("spool", Grade.OK, f"{what}, or {busy} with an event a second from each")


async def _database(engine: AsyncEngine, settings: Settings) -> AsyncIterator[Finding]:
    facts = await server_facts(engine)
    where = settings.database.redacted or f"embedded, under {settings.data_dir}"
    if facts.version < _OLDEST:
        yield Finding(
            "database", Grade.FAIL, f"PostgreSQL {facts.version} is too old", f"{_OLDEST} is the oldest supported"
        )
    else:
        yield Finding(
            "database", Grade.OK, f"PostgreSQL {facts.version}, {where}{f', {facts.tls}' if facts.tls else ''}"
        )
    for finding in doubts_about(facts, settings.database_url):
        yield finding
    try:
        await require_same_schema(engine)
    except SchemaMismatch as error:
        yield Finding.of("schema", error)
    else:
        yield Finding("schema", Grade.OK, f"revision {REVISION}")
        if missing := await overdue_partitions(engine, datetime.now(UTC)):
            what = f"the partitions {', '.join(each.name for each in missing)} are missing"
            why = "a running recorder makes them; where it cannot, its log and /readyz say why; nothing is lost"
            yield Finding("partitions", Grade.WARN, what, why, "start the recorder, or mend what its log names")


async def _exchange(client: Client, accounts: list[Credentials], settings: Settings) -> AsyncIterator[Finding]:
    began = asyncio.get_running_loop().time()
    try:
        async with asyncio.timeout(_CONNECT.total_seconds()):
            await client.measure_clock()
    except TimeoutError:
        yield Finding(
            "exchange",
            Grade.FAIL,
            f"no connection to {settings.exchange.ws_api_url} within {_CONNECT.total_seconds():g} s",
            client.status().last_error,
            "see that this machine may reach it, or mend exchange.ws_api_url",
        )
        return
    except ExchangeError as error:
        yield Finding.of("exchange", error)
        return
    status, took = client.status(), asyncio.get_running_loop().time() - began
    limit = f"; its limit is {status.weight_limit} weight a minute" if status.weight_limit else ""
    yield Finding("exchange", Grade.OK, f"{settings.exchange.ws_api_url} answers, {took * 1000:.0f} ms{limit}")
    offset = status.clock_offset or timedelta(0)
    if abs(offset) > CLOCK_TOLERANCE:
        what = f"this machine's clock is off by {-offset.total_seconds():+.1f} s"
        why = "slots and requests are corrected for it; logs are not, nor what else runs on this machine"
        yield Finding("clock", Grade.WARN, what, why, "run an NTP client such as chrony or systemd-timesyncd")
    else:
        yield Finding("clock", Grade.OK, f"within {abs(offset).total_seconds() * 1000:.0f} ms of the exchange's")
    for each in accounts:
        subject = f"account {each.account}"
        try:
            answer = await client.positions(each, settings.snapshot.timeout)
        except ExchangeError as error:
            yield Finding.of(subject, error)
            continue
        took_ms = answer.duration.total_seconds() * 1000
        yield Finding(subject, Grade.OK, f"{len(answer.positions)} position row(s), {took_ms:.0f} ms")
        async for finding in doubts_about_key(client.rest, each):
            yield finding
