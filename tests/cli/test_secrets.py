"""No secret leaves memory, whatever a command does and whatever goes wrong.

Left out are the outputs that are there to hold a secret: `recorder db url` prints the database's password, `recorder
simulate` the keys it made up, and the embedded cluster has its password in a file of its own.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from secrets import token_hex
from urllib.parse import parse_qs

import asyncpg
import httpx
import pytest

from recorder.logs import MASK
from recorder.postgres.engine import create_engine
from recorder.postgres.schema import upgrade
from recorder.simulator.alterations import with_value
from recorder.simulator.exchange import Simulator
from recorder.simulator.knobs import Altered, Error, Garbage, RequestFault
from recorder.simulator.scenario import Scenario
from tests.cli.canary import Canary, canaries_of, database_url, password
from tests.cli.command import MAIN, PLENTY, Recorder, until
from tests.cli.scene import Scene, settings_with_secrets_everywhere
from tests.conftest import EMBEDDED, Server

QUESTIONS = (
    ("positions",),
    ("history", "--json"),
    ("gaps",),
    ("db", "status"),
    ("db", "roles"),
    ("import", "answer.json", "--account", "main"),
)
ASKING = (("check",), ("snapshot",))
CRASH = """
import recorder.snapshotting
async def crash(settings, account):
    revealed = [each.api_key.reveal() for each in settings.accounts] + [settings.database.url.reveal()]
    try:
        raise ValueError(revealed)
    except ValueError as error:
        raise RuntimeError(f"nobody foresaw {revealed!r}") from error
recorder.snapshotting.snapshot_once = crash
"""


@pytest.fixture
async def scene(open_folder: Path, servers: dict[str, Server]) -> AsyncIterator[Scene]:
    """Four accounts that nobody else has, and a database whose owner has a password of its own."""
    server, name, secret = servers[EMBEDDED], f"scene_{token_hex(4)}", password("the password of the database")
    literal = secret.value.replace("'", "''").replace("\\", "\\\\")
    await server.command(f"CREATE ROLE {name} CREATEROLE LOGIN PASSWORD E'{literal}'; GRANT {name} TO CURRENT_USER")
    await server.command(f"CREATE DATABASE {name} OWNER {name}")
    url = database_url(server.database(name), name, secret)
    engine = create_engine(url)
    await upgrade(engine)
    await engine.dispose()
    (open_folder / "answer.json").write_text("[]")
    world = Scenario(accounts=4).world(seed=int(token_hex(4), 16), start=datetime.now(UTC) - timedelta(minutes=10))
    async with Simulator(world) as exchange:
        variables = settings_with_secrets_everywhere(open_folder / "settings", exchange)
        recorder = Recorder(open_folder, RECORDER_DATABASE__URL=url, **variables)
        yield Scene(recorder, exchange, [*canaries_of(world.accounts.values()), secret])
    await server.drop(name, owner=name)
    await server.command(f"DROP ROLE {name}")


async def tables(scene: Scene) -> tuple[str, str]:
    """Every row of every table of the database."""
    connection = await asyncpg.connect(scene.recorder.variables["RECORDER_DATABASE__URL"])
    try:
        names = await connection.fetch(
            "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables "
            "WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        )
        rows = [str(row[0]) for (name,) in names for row in await connection.fetch(f"SELECT t::text FROM {name} AS t")]
    finally:
        await connection.close()
    assert len(rows) > len(scene.exchange.world.accounts)
    return "the tables", "\n".join(rows)


async def pages(port: int, account: str) -> list[tuple[str, str]]:
    """What the service shows of itself, once its data flows."""
    async with (
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client,
        asyncio.timeout(PLENTY),
    ):
        while f'recorder_samples_total{{account="{account}"}}' not in await _text(client, "/metrics"):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        return [(path, await _text(client, path)) for path in ("/metrics", "/healthz", "/readyz", "/")]


async def _text(client: httpx.AsyncClient, path: str) -> str:
    try:
        return (await client.get(path)).text
    except httpx.TransportError:  # it does not listen yet
        return ""


def learned(exchange: Simulator) -> list[Canary]:
    """The secrets that came up in the course of things: listenKeys and signatures."""
    keys = [Canary(f"listenKey {number}", key) for number, key in enumerate(exchange.listen_keys.issued)]
    queries = [parse_qs(call.query) for call in exchange.traffic.rest]
    signed = [Canary("a signature", query["signature"][0]) for query in queries if "signature" in query]
    assert len(keys) >= len(exchange.world.accounts)
    assert signed
    return [*keys, *signed]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def test_no_secret_is_seen_while_all_goes_well(scene: Scene) -> None:
    for finished in await scene.run(*ASKING, *QUESTIONS, ("db", "upgrade")):
        assert finished.code == 0, finished.stdout + finished.stderr
    port = free_port()
    async with scene.started("run", anew=True, RECORDER_HTTP__LISTEN=f"127.0.0.1:{port}") as running:
        shown = await pages(port, "rsa")
        title = running.title
        stopped = await running.stop()

    assert stopped.code == 0
    for account in scene.exchange.world.accounts:  # the exchange answers none but a signature made with its secret
        assert scene.exchange.traffic.answers_of(account), account
    scene.canaries.extend(learned(scene.exchange))
    assert scene.seen(*shown, ("the title of the process", title), await tables(scene)) == []


async def test_no_listen_key_is_seen_when_the_streams_are_lost_and_errors_quote_it(scene: Scene) -> None:
    async with scene.started("run") as running:
        await running.says("its event stream is connected")
        await until(lambda: len(scene.exchange.listen_keys.issued) == len(scene.exchange.world.accounts))
        before = len(scene.exchange.listen_keys.issued)
        for name in scene.exchange.world.accounts:
            scene.exchange.listen_keys.stop(name)
            quoting = f"This listenKey {scene.exchange.listen_keys.issued[0]} does not exist."
            scene.exchange.knobs.on_request(Error(status=400, code=-1125, msg=quoting), account=name)
        scene.exchange.drop_streams()
        await until(lambda: len(scene.exchange.listen_keys.issued) > before)
        stopped = await running.stop()

    assert stopped.code == 0
    assert "stream" in stopped.stderr
    scene.canaries.extend(learned(scene.exchange))
    assert scene.seen(await tables(scene)) == []


async def test_no_secret_is_seen_when_the_exchange_refuses_and_quotes_the_key(scene: Scene) -> None:
    def faults(api_key: str) -> list[RequestFault]:
        return [
            Altered(with_value("markPrice", "NaN")),
            Garbage(f'{{"id": null, "status": 200, "apiKey": "{api_key}" '.encode()),
            Error(status=401, code=-2015, msg=f"Invalid API-key {api_key}.", anonymous=True),
            Error(status=401, code=-2015, msg=f"Invalid API-key {api_key}, IP, or permissions for action."),
        ]

    accounts = scene.exchange.world.accounts
    async with scene.started("run") as running:
        for number, fault in enumerate(faults("")):
            scene.exchange.knobs.clear()
            for name, account in accounts.items():
                scene.exchange.knobs.on_request(faults(account.key.api_key)[number], account=name, times=None)
            met = len(scene.exchange.traffic.requests)
            for finished in await scene.run(*ASKING):
                assert finished.code == (0 if isinstance(fault, Garbage) else 1), finished.stdout + finished.stderr
            enough = met + 3 * len(accounts)  # two commands and the service
            await until(lambda enough=enough: len(scene.exchange.traffic.requests) >= enough)  # type: ignore[misc]
        stopped = await running.stop()

    assert stopped.code == 0
    assert "code -2015" in stopped.stderr
    assert scene.seen(await tables(scene)) == []


async def test_no_secret_is_seen_when_it_is_the_wrong_one(scene: Scene) -> None:
    wrong = Canary("the wrong api_secret", token_hex(32))
    scene.canaries.append(wrong)
    (scene.settings.parent / "main.secret").write_text(wrong.value)

    checked, taken = await scene.run(("check",), ("snapshot",))

    assert checked.code == taken.code == 1
    assert "code -1022" in checked.stdout
    assert "code -1022" in taken.stdout
    assert scene.seen(await tables(scene)) == []


async def test_no_secret_is_seen_when_the_password_of_the_database_is_the_wrong_one(scene: Scene) -> None:
    wrong = password("the wrong password")
    scene.canaries.append(wrong)
    right = scene.recorder.variables["RECORDER_DATABASE__URL"]
    role = right.partition("://")[2].partition(":")[0]
    url = database_url(right, role, wrong)

    for finished in await scene.run(*ASKING, *QUESTIONS, ("db", "upgrade"), RECORDER_DATABASE__URL=url):
        assert finished.code == 1
        assert "password authentication failed" in finished.stdout + finished.stderr
    async with scene.started("run", RECORDER_DATABASE__URL=url) as running:
        await running.says("recording goes on into the spool")
        await running.stop()

    assert scene.seen() == []


async def test_no_secret_is_seen_when_the_database_is_away_or_its_url_is_not_readable(scene: Scene) -> None:
    secret = scene.canaries[-1]
    away = database_url("postgresql://127.0.0.1:1/positions", "recorder", secret)
    unescaped = f"postgresql://recorder:{secret.value}@127.0.0.1/positions"
    no_url = f"host=127.0.0.1 password={secret.value}"

    for finished in await scene.run(("check",), ("snapshot",), RECORDER_DATABASE__URL=away):
        assert finished.code == 1
    for url in (unescaped, no_url):
        for finished in await scene.run(("check",), RECORDER_DATABASE__URL=url):
            assert finished.code == 78
            assert "database" in finished.stderr.lower()

    assert scene.seen() == []


async def test_no_secret_is_seen_in_the_traceback_of_a_crash_that_quotes_it(scene: Scene) -> None:
    (finished,) = await scene.run(("snapshot",), program=CRASH + MAIN, FORCE_COLOR="1", PYTHONASYNCIODEBUG="1")

    assert finished.code == 1
    assert "RuntimeError: nobody foresaw" in finished.stderr
    assert finished.stderr.count(MASK) >= 2 * len(scene.exchange.world.accounts)

    assert scene.seen() == []


async def test_no_secret_is_seen_when_the_settings_are_wrong(scene: Scene) -> None:
    hedge = next(each.value for each in scene.canaries if each.name == "api_secret of hedge")
    pem = next(each.value for each in scene.canaries if each.name == "private_key of rsa")
    right = scene.settings.read_text()
    wrongs = [
        right.replace(f'"{hedge}"', f'"{hedge} {hedge}"'),  # blanks in it
        right.replace(f'api_secret = "{hedge}"', f'api_secert = "{hedge}"'),  # misspelt
        right.replace(f'"{hedge}"', f'"{hedge}'),  # no TOML
        right.replace(f'"{hedge}"', f'["{hedge}"]'),  # not a text
        right.replace(f'api_secret = "{hedge}"', f'private_key = "{hedge}"'),  # not a key
        right.replace('name = "hedge"', f'name = "hedge"\nprivate_key = """{pem}"""'),  # both of them
    ]
    assert right not in wrongs
    files = [scene.settings.with_name(f"wrong-{number}.toml") for number in range(len(wrongs))]
    for file, wrong in zip(files, wrongs, strict=True):
        file.write_text(wrong)
    for finished in await scene.run(*(("run", "--config", str(file)) for file in files)):
        assert finished.code == 78, finished.stdout + finished.stderr
    (cut,) = await scene.run(("check", "--json"), RSA_PEM=pem[: len(pem) // 2])
    assert "private key" in (cut.stdout + cut.stderr).lower()

    assert scene.seen() == []


async def test_no_secret_is_in_the_files_of_the_embedded_database(scene: Scene) -> None:
    del scene.recorder.variables["RECORDER_DATABASE__URL"]
    for name, account in scene.exchange.world.accounts.items():
        quoting = Error(status=401, code=-2015, msg=f"Invalid API-key {account.key.api_key}.")
        scene.exchange.knobs.on_request(quoting, account=name)
    scene.canaries[:] = [canary for canary in scene.canaries if canary.name.startswith("api_key")]  # megabytes of files

    (refused,) = await scene.run(("snapshot",))
    (taken,) = await scene.run(("snapshot",))
    (asked,) = await scene.run(("db", "url"))

    assert (refused.code, taken.code, asked.code) == (1, 0, 0), refused.stderr + taken.stderr + asked.stderr
    assert scene.seen() == []
    url = asked.stdout.strip()
    scene.canaries[:] = [Canary("the password", url.partition("://recorder:")[2].partition("@")[0])]
    places = {Path(place.partition(" in ")[2].partition(", after ")[0]).name for place in scene.seen()}
    assert places == {"recorder.password", asked.name}
