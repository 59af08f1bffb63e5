"""Requests that the exchange refuses: whom it stops, for how long, and what the rows say."""

from datetime import UTC, datetime

import pytest

from recorder.simulator.exchange import Simulator
from recorder.simulator.knobs import Error
from tests.service.running import Start, quiet
from tests.service.tables import EVERY, Tables

BUSY = {
    "main": Error(status=500, code=-1000, msg="An unknown error occurred while processing the request."),
    "hedge": Error(status=503, code=-1001, msg="Internal error; unable to process your request."),
    "ed25519": Error(status=504, code=-1007, msg="Timeout waiting for response from backend server."),
    "rsa": Error(status=503, code=-1008, msg="Server is currently overloaded with other requests."),
    "account-05": Error(status=502, code=0, msg=""),
}
REFUSED_KEYS = {
    "hedge": Error(status=401, code=-2015, msg="Invalid API-key, IP, or permissions for action."),
    "ed25519": Error(status=401, code=-2014, msg="API-key format invalid."),
    "rsa": Error(status=401, code=-1002, msg="You are not authorized to execute this request."),
    "account-05": Error(status=400, code=-2017, msg="API Keys are locked on this account."),
    "account-06": Error(status=400, code=-4109, msg="This account is inactive."),
}
CLOCK = Error(status=400, code=-1021, msg="Timestamp for this request is outside of the recvWindow.")
SIGNATURE = Error(status=400, code=-1022, msg="Signature for this request is not valid.")
FUTURE_RULE = Error(status=400, code=-9876, msg="A new rule forbids this.")


async def test_an_unknown_error_code_fails_that_slot_of_that_account_and_says_what_the_exchange_said(
    recorder: Start, exchange: Simulator, tables: Tables
) -> None:
    async with recorder():
        await tables.first("main", "ok")
        exchange.knobs.on_request(FUTURE_RULE, account="main")
        failed = await tables.first("main", "request_rejected")
        await tables.first("main", "ok", after=failed.time)
    assert str(FUTURE_RULE.code) in failed.detail
    assert FUTURE_RULE.msg in failed.detail
    assert failed.position_count == 0
    assert all(taken.ok for taken in await tables.snapshots("hedge"))
    assert await tables.inferred("main") == []


@pytest.mark.parametrize("scenario", [pytest.param(quiet(5), id="five-accounts")])
async def test_an_exchange_with_a_fault_of_its_own_is_asked_again_within_the_slot(
    recorder: Start, exchange: Simulator, tables: Tables
) -> None:
    for account, busy in BUSY.items():
        exchange.knobs.on_request(busy, account=account)
    async with recorder():
        for account in BUSY:
            await tables.first(account, "ok")
    assert all(taken.ok for taken in await tables.snapshots())
    refusals = {(answer.account, answer.status) for answer in exchange.traffic.answers if answer.status != 200}
    assert refusals == {(account, busy.status) for account, busy in BUSY.items()}


async def test_a_fault_that_lasts_leaves_a_row_that_says_which_and_few_requests(
    recorder: Start, exchange: Simulator, tables: Tables
) -> None:
    exchange.knobs.on_request(BUSY["hedge"], account="main", times=None)
    async with recorder():
        failed = await tables.first("main", "unreachable")
        asked = [each for each in exchange.traffic.requests_of("main") if each.received_at >= failed.time]
        exchange.knobs.clear()
        await tables.first("main", "ok", after=failed.time)
    assert "-1001" in failed.detail
    assert 2 <= len(asked) <= 5
    assert all(taken.ok for taken in await tables.snapshots("hedge"))


async def test_a_refused_timestamp_has_the_clock_measured_again_and_the_slot_saved(
    recorder: Start, exchange: Simulator, tables: Tables
) -> None:
    async with recorder():
        await tables.first("main", "ok")
        measured = _asked(exchange, "session.status")
        exchange.knobs.on_request(CLOCK, account="main")
        await tables.first("main", "ok", after=datetime.now(UTC))
        assert _asked(exchange, "session.status") > measured
    assert all(taken.ok for taken in await tables.snapshots())
    assert [answer.status for answer in exchange.traffic.answers].count(400) == 1


async def test_a_timestamp_refused_again_fails_the_slot_of_that_account_and_says_what_to_mend(
    recorder: Start, exchange: Simulator, tables: Tables
) -> None:
    async with recorder():
        await tables.first("main", "ok")
        exchange.knobs.on_request(CLOCK, account="main", times=None)
        failed = await tables.first("main", "clock")
        exchange.knobs.clear()
        await tables.first("main", "ok", after=failed.time)
    assert "timedatectl" in failed.detail
    asked = [each for each in exchange.traffic.requests_of("main") if failed.time <= each.received_at]
    assert len([each for each in asked if each.received_at < failed.time + EVERY]) == 2
    assert all(taken.ok for taken in await tables.snapshots("hedge"))


async def test_a_signature_refused_once_is_made_again_and_the_slot_saved(
    recorder: Start, exchange: Simulator, tables: Tables
) -> None:
    async with recorder():
        await tables.first("main", "ok")
        exchange.knobs.on_request(SIGNATURE, account="main")
        await tables.first("main", "ok", after=datetime.now(UTC))
    assert all(taken.ok for taken in await tables.snapshots())
    assert [answer.status for answer in exchange.traffic.answers].count(400) == 1


async def test_a_signature_refused_twice_stops_that_account_alone(
    recorder: Start, exchange: Simulator, tables: Tables
) -> None:
    async with recorder():
        await tables.first("main", "ok")
        answered = len(exchange.traffic.requests_of("main"))
        exchange.knobs.on_request(SIGNATURE, account="main", times=None)
        stopped = await tables.first("main", "account_rejected")
        await tables.first("main", "account_rejected", after=stopped.time)
        assert len(exchange.traffic.requests_of("main")) == answered + 2
    assert "api_secret" in stopped.detail
    assert all(taken.ok for taken in await tables.snapshots("hedge"))


@pytest.mark.parametrize("scenario", [pytest.param(quiet(6), id="six-accounts")])
async def test_a_refused_key_stops_its_account_alone_and_every_slot_says_what_to_mend(
    recorder: Start, exchange: Simulator, tables: Tables
) -> None:
    for account, refusal in REFUSED_KEYS.items():
        exchange.knobs.on_request(refusal, account=account, times=None)
    async with recorder():
        first = await tables.first("main", "ok")
        last = await tables.first("main", "ok", after=first.time)
    for account, refusal in REFUSED_KEYS.items():
        rows = await tables.snapshots(account)
        assert {row.outcome for row in rows} == {"account_rejected"}
        assert rows[-1].time >= last.time > rows[0].time
        assert all(str(refusal.code) in row.detail and "restart" in row.detail for row in rows)
        assert len(exchange.traffic.requests_of(account)) == 1
    assert all(taken.ok for taken in await tables.snapshots("main"))


async def test_a_refusal_that_names_no_request_stops_nobody(
    recorder: Start, exchange: Simulator, tables: Tables
) -> None:
    anonymous = Error(status=401, code=-2015, msg="Invalid API-key, IP, or permissions for action.", anonymous=True)
    async with recorder():
        await tables.first("main", "ok")
        exchange.knobs.on_request(anonymous, account="main", times=2)
        failed = await tables.first("main", "timeout")
        await tables.first("main", "ok", after=failed.time)
    assert "-2015" in failed.detail
    assert all(taken.ok for taken in await tables.snapshots("hedge"))


def _asked(exchange: Simulator, method: str) -> int:
    return sum(request.method == method for request in exchange.traffic.requests)
