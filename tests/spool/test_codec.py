"""Items come back from the spool as they were, to the last digit, from this version and from earlier ones."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from shutil import copytree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.domain.balance import Balance
from recorder.domain.beginning import Beginning
from recorder.domain.event import (
    AccountUpdate,
    Arrival,
    BalanceChange,
    Event,
    KeptEvent,
    ListenKeyExpired,
    StreamPosition,
    Told,
    Trade,
)
from recorder.domain.fill import Fill, FillSource
from recorder.domain.gap import Gap, GapReason, GapSource
from recorder.domain.item import Item
from recorder.domain.position import NEVER, Position
from recorder.domain.snapshot import Kind, Outcome, Snapshot
from recorder.domain.stream import StreamState
from recorder.exceptions import UnknownRecord
from recorder.spool.codec import decode_item, encode_item, encode_text
from recorder.spool.opening import open_spool
from recorder.spool.record import Record

NOON = datetime(2026, 11, 22, 12, 0, 0, 123456, tzinfo=UTC)
GOLDEN = Path(__file__).parent / "golden"
"""Spools as released versions wrote them, a folder each. They are added to, and never written again."""


def position(symbol: str, **given: object) -> Position:
    values: dict[str, object] = {
        "symbol": symbol,
        "position_side": "LONG",
        "position_amt": Decimal("-0.00000001"),
        "entry_price": Decimal("123456789012345678901234567890.12345678"),
        "update_time": NEVER,
        "mark_price": Decimal("1E+3"),
        "unrealized_profit": Decimal("-0"),
    }
    return Position(**(values | given))  # type: ignore[arg-type]


def told(event: Event) -> Told:
    return Told("main", Arrival(number=7, received_at=NOON, clock_offset=timedelta(milliseconds=-3)), event)


FILL = Fill(
    symbol="BTCUSDT",
    position_side="BOTH",
    trade_id=2**53 + 1,
    order_id=1,
    time=NOON,
    side="BUY",
    price=Decimal("0.10"),
    quantity=Decimal(1),
    realized_profit=Decimal("-0.0"),
    commission=Decimal("-0.00000000"),
    commission_asset="BNB",
    maker=True,
    source=FillSource.STREAM,
)
STREAM_POSITION = StreamPosition(
    symbol="BTCUSDT",
    position_side="BOTH",
    position_amt=Decimal("1.50"),
    entry_price=Decimal(0),
    break_even_price=None,
    accumulated_realized=Decimal("1E-8"),
    unrealized_profit=Decimal(0),
    margin_type="cross",
    isolated_wallet=Decimal(0),
    margin_asset=None,
)
BALANCE = Balance(
    account_alias="x",
    asset="USDT",
    balance=Decimal("1.10"),
    cross_wallet_balance=Decimal("1.1"),
    cross_un_pnl=Decimal(0),
    available_balance=Decimal(0),
    max_withdraw_amount=Decimal(0),
    margin_available=True,
    update_time=NOON,
)
ITEMS: tuple[Item, ...] = (
    Snapshot(account="main", time=NOON, kind=Kind.SLOT, taken_at=NOON, outcome=Outcome.TIMEOUT, detail="ä\0 \ud7ff"),
    Snapshot(
        account="main",
        time=NOON,
        kind=Kind.RECONNECT,
        taken_at=NOON,
        duration=timedelta(microseconds=12345),
        clock_offset=timedelta(milliseconds=-2),
        positions=(
            position("A", adl=3, break_even_price=Decimal("0.0")),
            position("B", extra={"new": Decimal("1.10"), "text": "1.10", "deep": [{"n": Decimal("1E+5")}, None, 7]}),
            *(position(f"C{number}USDT") for number in range(30)),
        ),
        balance_outcome=Outcome.OK,
        balances=(BALANCE,),
    ),
    Gap(account="main", source=GapSource.STREAM, started_at=NOON, ended_at=None, reason=GapReason.SILENT),
    StreamState("main", "connected", NOON),
    told(
        AccountUpdate(
            time=NOON,
            event_time=NOON,
            reason="FUNDING_FEE",
            balances=(
                BalanceChange(
                    asset="USDT", wallet_balance=Decimal("1.0"), cross_wallet_balance=None, balance_change=Decimal(-1)
                ),
            ),
            positions=(STREAM_POSITION,),
            symbol="BTCUSDT",
            raw='{"e":"ACCOUNT_UPDATE"}',
        )
    ),
    told(Trade(fill=FILL, event_time=NOON, raw="{}")),
    told(KeptEvent(kind="", event_time=None, raw="no JSON \u0000 at all")),
    told(ListenKeyExpired(event_time=NOON)),
    Beginning(account="main", since=NOON, began=NOON, reason=GapReason.TOOK_OVER),
)


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: type(getattr(item, "event", item)).__name__)
def test_every_kind_of_item_comes_back_the_same_to_the_last_digit(item: Item) -> None:
    for payload in (encode_item(item), encode_text(item)):
        again = decode_item(payload)
        assert again == item
        assert repr(again) == repr(item)  # 1.1 and 1.10 are equal, and not the same


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_no_number_loses_a_digit_or_its_sign(number: Decimal) -> None:
    item = Snapshot(
        account="main", time=NOON, kind=Kind.SLOT, taken_at=NOON, positions=(position("A", mark_price=number),)
    )
    again = decode_item(encode_item(item))
    assert isinstance(again, Snapshot)
    assert str(again.positions[0].mark_price) == str(number)


@given(st.binary())
def test_bytes_that_are_no_item_are_unknown_and_nothing_worse(payload: bytes) -> None:
    with pytest.raises(UnknownRecord):
        decode_item(payload)


def test_a_kind_that_a_newer_version_wrote_is_unknown() -> None:
    with pytest.raises(UnknownRecord, match="'order'"):
        decode_item(b'["order",{"account":"main"}]')


@pytest.mark.parametrize("version", sorted(path.name for path in GOLDEN.iterdir()))
def test_a_spool_of_each_released_version_is_read(version: str, tmp_path: Path) -> None:
    copytree(GOLDEN / version, tmp_path / "spool")
    with open_spool(tmp_path, limit=2**20, replay_window=timedelta(minutes=1)) as log:
        found = list(log.read())
    assert [decode_item(each.payload) for each in found if isinstance(each, Record)] == list(ITEMS)
    assert len(found) == len(ITEMS)
