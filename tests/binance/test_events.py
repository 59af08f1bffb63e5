import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.binance.events import decode_event
from recorder.domain.event import AccountUpdate, KeptEvent, ListenKeyExpired, Trade
from recorder.domain.fill import FillSource
from recorder.exceptions import MalformedAnswer

CAPTURED = Path(__file__).resolve().parents[2] / ".." / "shared" / "exchange" / "fixtures" / "user_stream"
MEANINGS = {"ACCOUNT_UPDATE": AccountUpdate, "ORDER_TRADE_UPDATE": Trade, "listenKeyExpired": ListenKeyExpired}
TIME = datetime(2025, 10, 9, 8, 53, 20, 123_000, tzinfo=UTC)

ROW = {
    "s": "SOLUSDT",
    "pa": "-12.50",
    "ep": "151.2040",
    "bep": "151.12839800",
    "cr": "-3.25000000",
    "up": "16.59320987",
    "mt": "isolated",
    "iw": "187.34567901",
    "ps": "SHORT",
    "ma": "USDT",
}
ASSET = {"a": "USDT", "wb": "90210.40506070", "cw": "90023.05938169", "bc": "0"}
ORDER = {
    "s": "币安人生USDT",
    "c": "web_1",
    "S": "SELL",
    "o": "LIMIT",
    "x": "TRADE",
    "X": "FILLED",
    "i": 8389765739703625592,
    "l": "12.5",
    "L": "2.8E-4",
    "n": "0.00140",
    "N": "BNB",
    "T": 1_760_000_000_121,
    "t": 4467432841,
    "rp": "-1.25",
    "m": True,
    "ps": "BOTH",
    "st": "OTOCO",
}


def frame(**message: Any) -> bytes:
    return json.dumps({"T": 1_760_000_000_121, "E": 1_760_000_000_123, **message}, ensure_ascii=False).encode()


def account_update(**account: Any) -> AccountUpdate:
    message = {"m": "ORDER", "B": [ASSET], "P": [ROW], **account}
    event = decode_event(frame(e="ACCOUNT_UPDATE", a={name: part for name, part in message.items() if part != ...}))
    assert isinstance(event, AccountUpdate)
    return event


def order_update(**order: Any) -> Any:
    message = {**ORDER, **order}
    return decode_event(frame(e="ORDER_TRADE_UPDATE", o={name: part for name, part in message.items() if part != ...}))


def trade(**order: Any) -> Trade:
    event = order_update(**order)
    assert isinstance(event, Trade)
    return event


def test_an_account_update_has_every_digit_of_its_rows() -> None:
    event = account_update()
    (row,), (balance,) = event.positions, event.balances
    assert (event.time, event.event_time) == (datetime(2025, 10, 9, 8, 53, 20, 121_000, tzinfo=UTC), TIME)
    assert (event.reason, event.symbol) == ("ORDER", None)
    assert row.key == ("SOLUSDT", "SHORT")
    assert (row.margin_type, row.margin_asset) == ("isolated", "USDT")
    numbers = [
        row.position_amt,
        row.entry_price,
        row.break_even_price,
        row.accumulated_realized,
        row.unrealized_profit,
        row.isolated_wallet,
    ]
    assert [str(number) for number in numbers] == [ROW[key] for key in ("pa", "ep", "bep", "cr", "up", "iw")]
    changes = [balance.wallet_balance, balance.cross_wallet_balance, balance.balance_change]
    assert [str(change) for change in changes] == [ASSET[key] for key in ("wb", "cw", "bc")]


def test_the_raw_text_is_that_of_the_message_alone() -> None:
    message = frame(e="ACCOUNT_UPDATE", a={"m": "ORDER", "new": [1.50]})
    wrapped = b'{"stream":"canary-listen-key","data":' + message + b"}"
    assert decode_event(wrapped) == decode_event(message)
    event = decode_event(wrapped)
    assert isinstance(event, AccountUpdate)
    assert event.raw == message.decode()


@pytest.mark.parametrize("missing", [..., None])
def test_what_older_and_quieter_messages_leave_out_is_none(missing: Any) -> None:
    event = account_update(P=[{**ROW, "bep": None, "ma": None}], B=[{"a": "BNB", "wb": "1", "cw": None}], S=missing)
    assert event.positions[0].break_even_price is None
    assert event.positions[0].margin_asset is None
    assert event.balances[0].cross_wallet_balance is None
    assert event.balances[0].balance_change is None
    assert event.symbol is None
    event = account_update(P=missing, B=missing)
    assert (event.positions, event.balances) == ((), ())
    assert account_update(S="SOLUSDT", m="FUNDING_FEE").symbol == "SOLUSDT"


def test_names_that_nobody_knows_pass() -> None:
    event = account_update(m="SOMETHING_NEW", B=[{**ASSET, "a": "BNFCR"}], P=[{**ROW, "mt": "half", "ps": "SIDEWAYS"}])
    assert (event.reason, event.balances[0].asset) == ("SOMETHING_NEW", "BNFCR")
    assert (event.positions[0].margin_type, event.positions[0].position_side) == ("half", "SIDEWAYS")


@pytest.mark.parametrize("flat", ["0", "0.0", "0.00000", "-0.00", "0E-8"])
def test_every_way_of_writing_nothing_is_nothing(flat: str) -> None:
    assert account_update(P=[{**ROW, "pa": flat, "ep": flat}]).positions[0].position_amt == 0


def test_what_is_of_coin_m_is_passed_over() -> None:
    assert decode_event(frame(e="ACCOUNT_UPDATE", st=2, a={"m": "ORDER"})) is None
    assert decode_event(frame(e="ORDER_TRADE_UPDATE", st="2", o=ORDER)) is None
    assert decode_event(frame(e="ACCOUNT_UPDATE", st=1, a={"m": "ORDER"})) is not None
    event = account_update(P=[{**ROW, "st": 2}, {**ROW, "st": 1}], B=[{**ASSET, "st": 2}])
    assert len(event.positions) == 1
    assert event.balances == ()


def test_a_trade_is_a_fill_with_the_signs_of_profit() -> None:
    event = trade()
    fill = event.fill
    assert (fill.symbol, fill.position_side, fill.side) == ("币安人生USDT", "BOTH", "SELL")
    assert (fill.trade_id, fill.order_id) == (4467432841, 8389765739703625592)
    assert fill.time == datetime(2025, 10, 9, 8, 53, 20, 121_000, tzinfo=UTC)
    assert event.event_time == TIME
    assert (fill.price, fill.quantity, fill.realized_profit) == (Decimal("0.00028"), Decimal("12.5"), Decimal("-1.25"))
    assert (str(fill.commission), fill.commission_asset) == ("-0.00140", "BNB")
    assert fill.maker
    assert fill.source is FillSource.STREAM
    assert event.raw


def test_a_rebate_is_positive_and_long_commissions_keep_their_digits() -> None:
    assert trade(n="-0.5").fill.commission == Decimal("0.5")
    digits = "0.1234567890123456789012345678901234567890"
    assert str(trade(n=digits).fill.commission) == f"-{digits}"
    assert str(trade(n="0").fill.commission) == "0"


def test_a_trade_without_a_commission_costs_nothing() -> None:
    fill = trade(n=..., N=...).fill
    assert fill.commission == 0
    assert fill.commission_asset is None


def test_a_trade_that_names_no_position_is_refused_by_that_field() -> None:
    with pytest.raises(MalformedAnswer, match=r"o\.ps"):
        trade(ps=...)


def test_an_order_without_a_trade_is_none_of_the_recorders_business() -> None:
    for execution in ("NEW", "CANCELED", "EXPIRED", "AMENDMENT", "UNHEARD_OF"):
        assert order_update(x=execution, t=0, l="0") is None
    assert order_update(x="NEW", t=..., l=..., L=..., rp=..., n=..., N=...) is None


def test_a_liquidation_is_a_trade_or_is_kept() -> None:
    assert trade(x="CALCULATED", c="autoclose-1").fill.quantity == Decimal("12.5")
    event = order_update(x="CALCULATED", l="0", t=0)
    assert isinstance(event, KeptEvent)
    assert (event.kind, event.event_time) == ("ORDER_TRADE_UPDATE", TIME)
    assert json.loads(event.raw)["o"]["x"] == "CALCULATED"


@pytest.mark.parametrize("when", [1_760_000_000_123, "1760000000123"])
def test_the_end_of_a_listen_key_is_read_without_the_key(when: int | str) -> None:
    event = decode_event(json.dumps({"e": "listenKeyExpired", "E": when, "listenKey": "canary"}).encode())
    assert event == ListenKeyExpired(event_time=TIME)
    assert "canary" not in repr(event)
    assert decode_event(b'{"e":"listenKeyExpired"}') == ListenKeyExpired(event_time=None)


@pytest.mark.parametrize(
    "kind", ["MARGIN_CALL", "ACCOUNT_CONFIG_UPDATE", "ALGO_UPDATE", "TRADE_LITE", "GRID_UPDATE", "UNHEARD_OF", ""]
)
def test_every_other_message_is_kept_as_it_came(kind: str) -> None:
    message = frame(e=kind, anything={"a": [None, 1.50]})
    assert decode_event(message) == KeptEvent(kind=kind, event_time=TIME, raw=message.decode())


@pytest.mark.parametrize("when", [None, "", "soon", -1, 1.5, [], {}, 10**30])
def test_what_is_only_kept_may_have_any_time(when: Any) -> None:
    event = decode_event(json.dumps({"e": "UNHEARD_OF", "E": when}).encode())
    assert isinstance(event, KeptEvent)
    assert event.event_time is None


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"P": [{**ROW, "pa": "NaN"}]}, r"a\.P\[0\]\.pa"),
        ({"P": [ROW, {**ROW, "ep": "1_0"}]}, r"a\.P\[1\]\.ep"),
        ({"P": [{**ROW, "iw": 5}]}, r"a\.P\[0\]\.iw"),
        ({"P": [{**ROW, "s": ""}]}, r"a\.P\[0\]\.s"),
        ({"B": [{"a": "USDT"}]}, r"a\.B\[0\]"),
        ({"B": [{**ASSET, "bc": "Infinity"}]}, r"a\.B\[0\]\.bc"),
        ({"B": {}}, r"a\.B"),
        ({"m": ...}, r"a"),
    ],
)
def test_a_bad_account_update_is_refused_by_the_name_of_its_field(change: dict[str, Any], field: str) -> None:
    with pytest.raises(MalformedAnswer, match=rf"ACCOUNT_UPDATE: .*{field}"):
        account_update(**change)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"L": "NaN"}, "L"),
        ({"i": 2**63}, "i"),
        ({"t": "12x"}, "t"),
        ({"rp": "1e9999"}, "rp"),
        ({"T": "tomorrow"}, "T"),
        ({"m": "yes"}, "m"),
        ({"S": ...}, "S"),
    ],
)
def test_a_bad_trade_is_refused_by_the_name_of_its_field(change: dict[str, Any], field: str) -> None:
    with pytest.raises(MalformedAnswer, match=rf"ORDER_TRADE_UPDATE: .*{field}"):
        order_update(**change)


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"5", b"<html>", b"\xff", b'{"e":5}', b'{"result":null,"id":1}', b'{"data":{}}', b"{" * 99999]
)
def test_a_frame_that_is_no_event_is_refused(text: bytes) -> None:
    with pytest.raises(MalformedAnswer, match="User data stream"):
        decode_event(text)


@given(st.binary(max_size=40) | st.text(max_size=40).map(str.encode))
def test_no_frame_raises_anything_else(text: bytes) -> None:
    for message in (text, b'{"e":"ACCOUNT_UPDATE","a":' + text + b"}", b'{"data":' + text + b"}"):
        try:
            decode_event(message)
        except MalformedAnswer:
            continue


@pytest.mark.skipif(not CAPTURED.is_dir(), reason="captured messages are not in this checkout")
def test_every_captured_message_is_understood() -> None:
    messages = []
    for path in sorted(CAPTURED.glob("*.json")):
        content = json.loads(path.read_text())
        messages += content if isinstance(content, list) else [content]
    assert len(messages) > 20
    for message in messages:
        event = decode_event(json.dumps(message).encode())
        kind = message.get("e") or message["data"]["e"]
        if kind == "ORDER_TRADE_UPDATE" and not message["o"]["t"]:
            assert event is None
        else:
            assert type(event) is MEANINGS.get(kind, KeptEvent)
