"""``recorder check``: each thing that can be wrong is told with what, why and fix, and nothing is changed."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from recorder.domain.beginning import Beginning
from recorder.postgres.partitions import AHEAD, prepare_partitions
from recorder.recording import write
from recorder.simulator.exchange import Simulator
from recorder.simulator.knobs import Closed, Error
from tests.cli.command import Finished, Recorder, Rows


def finding(finished: Finished, subject: str, grade: str) -> dict[str, Any]:
    """The one finding about *subject* of that grade."""
    (found,) = [each for each in finished.json if (each["subject"], each["grade"]) == (subject, grade)]
    return dict(found)


@pytest.fixture
def secrets_in_environment(configured: Recorder) -> Recorder:
    """The same settings with the secrets where they belong."""
    file = configured.folder / "recorder.toml"
    lines, names = file.read_text().splitlines(), {}
    for number, line in enumerate(lines):
        key, _, value = line.partition(" = ")
        if key in {"api_key", "api_secret"}:
            name = f"{key}_{number}".upper()
            names[name] = value.strip('"')
            lines[number] = f'{key} = "env:{name}"'
    file.write_text("\n".join(lines))
    configured.variables |= names
    return configured


async def test_all_is_well(secrets_in_environment: Recorder, rows: Rows) -> None:
    finished = await secrets_in_environment("check", "--json")

    assert finished.code == 0, finished.stdout
    assert finished.stderr == ""
    assert [each["subject"] for each in finished.json] == [
        "configuration",
        "spool",
        "database",
        "schema",
        "exchange",
        "clock",
        "account main",
        "account hedge",
    ]
    for each in finished.json:
        assert list(each) == ["subject", "grade", "what", "why", "fix"]
        assert each["grade"] == "ok", each
        assert each["what"]
        assert each["why"] == each["fix"] == ""
    assert not await rows("SELECT account FROM bi.snapshot")
    assert not await rows("SELECT account FROM bi.freshness")


async def test_people_get_a_line_each_without_escape_codes(secrets_in_environment: Recorder) -> None:
    finished = await secrets_in_environment("check")

    assert finished.code == 0
    assert [line.split(":")[0] for line in finished.stdout.splitlines()] == [
        "ok   configuration",
        "ok   spool",
        "ok   database",
        "ok   schema",
        "ok   exchange",
        "ok   clock",
        "ok   account main",
        "ok   account hedge",
    ]
    assert "\x1b" not in finished.stdout + finished.stderr


async def test_secrets_in_the_file_are_a_warning_and_do_not_fail(configured: Recorder) -> None:
    (configured.folder / "recorder.toml").chmod(0o644)

    finished = await configured("check", "--json")

    assert finished.code == 0
    warnings = [each["what"] for each in finished.json if each["grade"] == "warn"]
    assert sum('write "env:NAME" or "file:PATH" instead' in each for each in warnings) == 4
    assert sum("chmod 600" in each for each in warnings) == 1


async def test_a_database_that_is_away_fails_and_the_exchange_is_still_looked_at(configured: Recorder) -> None:
    finished = await configured("check", "--json", RECORDER_DATABASE__URL="postgresql://nobody@127.0.0.1:1/none")

    assert finished.code == 1
    away = finding(finished, "database", "fail")
    assert away["what"] == "PostgreSQL cannot be used"
    assert "refused" in away["why"].lower() or "connect" in away["why"].lower()
    assert away["fix"] == "start PostgreSQL, or mend database.url"
    assert finding(finished, "account main", "ok")


async def test_a_database_without_schema_fails_with_the_command_to_run(configured: Recorder, database: str) -> None:
    empty = database.rpartition("/")[0] + "/postgres"

    finished = await configured("check", "--json", RECORDER_DATABASE__URL=empty)

    assert finished.code == 1
    assert finding(finished, "schema", "fail")["fix"] == "recorder db upgrade"


async def test_a_database_of_a_newer_version_fails(configured: Recorder, engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE recorder.alembic_version SET version_num = '9999'"))

    finished = await configured("check", "--json")

    assert finished.code == 1
    assert finding(finished, "schema", "fail")["what"] == "the database's schema is at revision 9999"


async def test_a_month_without_its_partition_is_a_warning_once_a_service_has_run(
    configured: Recorder, engine: AsyncEngine
) -> None:
    assert not [each for each in (await configured("check", "--json")).json if each["subject"] == "partitions"]
    now = datetime.now(UTC)
    await write(engine, [Beginning(account="main", since=now, began=now)])
    found = finding(await configured("check", "--json"), "partitions", "warn")
    assert f"sample_{now:%Y_%m}" in found["what"]
    assert found["fix"]
    await prepare_partitions(engine, now, now + AHEAD)
    assert not [each for each in (await configured("check", "--json")).json if each["subject"] == "partitions"]


async def test_a_key_that_is_refused_fails_and_the_others_are_still_looked_at(
    configured: Recorder, exchange: Simulator
) -> None:
    rejected = Error(status=401, code=-2015, msg="Invalid API-key, IP, or permissions for action.")
    exchange.knobs.on_request(rejected, account="main", times=None)

    finished = await configured("check", "--json")

    assert finished.code == 1
    refused = finding(finished, "account main", "fail")
    assert "code -2015" in refused["what"]
    assert "Enable Reading" in refused["fix"]
    assert "position row(s)" in finding(finished, "account hedge", "ok")["what"]


async def test_a_wrong_secret_fails_and_people_read_why_and_fix(configured: Recorder) -> None:
    file = configured.folder / "recorder.toml"
    main, _, rest = file.read_text().partition('\n\n[[accounts]]\nname = "hedge"')
    settings, _, _ = main.rpartition("api_secret = ")
    file.write_text(f'{settings}api_secret = "{"x" * 64}"\n\n[[accounts]]\nname = "hedge"{rest}')

    finished = await configured("check")

    assert finished.code == 1
    lines = finished.stdout.splitlines()
    (at,) = [number for number, line in enumerate(lines) if line.startswith("fail account main: ")]
    assert "code -1022" in lines[at]
    assert lines[at + 1].startswith("       why: The secret or private key does not belong to this API key")
    assert lines[at + 2].startswith("       fix: ")


async def test_a_clock_that_is_off_is_a_warning(configured: Recorder, exchange: Simulator) -> None:
    exchange.clock.off = timedelta(minutes=5)

    finished = await configured("check", "--json")

    assert finished.code == 0
    off = finding(finished, "clock", "warn")
    assert "-300." in off["what"] or "-299." in off["what"]
    assert "NTP" in off["fix"]
    assert finding(finished, "account main", "ok")


async def test_an_exchange_that_lets_nobody_in_fails(configured: Recorder, exchange: Simulator) -> None:
    exchange.knobs.on_handshake(Closed(status=403), times=None)

    finished = await configured("check", "--json")

    assert finished.code == 1
    assert finding(finished, "exchange", "fail")["what"]
    assert not [each for each in finished.json if each["subject"].startswith("account")]


async def test_settings_that_cannot_be_read_are_a_configuration_error(configured: Recorder) -> None:
    (configured.folder / "recorder.toml").write_text("[database\n")

    finished = await configured("check", "--json")

    assert finished.code == 78
    assert finished.stdout == ""
    assert "is not TOML" in finished.stderr


async def test_a_key_that_may_do_more_than_read_is_a_warning(configured: Recorder, exchange: Simulator) -> None:
    exchange.world.accounts["main"].ticked |= {"enableWithdrawals"}
    exchange.world.accounts["hedge"].ticked |= {"enableFutures"}
    exchange.world.accounts["hedge"].ticked -= {"ipRestrict"}

    finished = await configured("check", "--json")

    assert finished.code == 0
    assert "withdraw" in finding(finished, "account main", "warn")["what"]
    assert "Enable Reading" in finding(finished, "account main", "warn")["fix"]
    told = [each["what"] for each in finished.json if (each["subject"], each["grade"]) == ("account hedge", "warn")]
    assert told == ["the key can trade", "the key may be used from every address"]


async def test_an_exchange_that_does_not_tell_what_a_key_may_do_is_a_warning(
    configured: Recorder, exchange: Simulator
) -> None:
    unknown = Error(status=404, code=-5000, msg="Path /sapi/v1/account/apiRestrictions, Method GET is invalid")
    exchange.knobs.on_request(unknown, account="main", method="GET /sapi/v1/account/apiRestrictions", times=None)

    finished = await configured("check", "--json")

    assert finished.code == 0
    assert "does not tell" in finding(finished, "account main", "warn")["what"]
    assert finding(finished, "account main", "ok")


async def test_what_the_database_does_for_others_is_a_warning_that_says_what_it_means_here(
    secrets_in_environment: Recorder, database: str, engine: AsyncEngine
) -> None:
    name = database.rpartition("/")[2]
    async with engine.begin() as connection:
        await connection.execute(text(f"ALTER DATABASE {name} SET synchronous_commit = off"))
        await connection.execute(text(f"ALTER DATABASE {name} SET TimeZone = 'Asia/Tokyo'"))

    finished = await secrets_in_environment("check", "--json")

    assert finished.code == 0
    warned = {each["what"]: each["why"] for each in finished.json if each["grade"] == "warn"}
    assert set(warned) == {"synchronous_commit is off", "its time zone is Asia/Tokyo"}
    assert "recorder's own sessions wait" in warned["synchronous_commit is off"]
    assert "harmless" in warned["its time zone is Asia/Tokyo"]
