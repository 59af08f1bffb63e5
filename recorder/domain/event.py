"""An event: what one message of an account's user data stream means."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from recorder.domain.fill import Fill
from recorder.domain.position import Key


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceChange:
    """What became of one asset.

    Attributes:
        wallet_balance: After the change.
        cross_wallet_balance: After the change, without what is put aside for isolated positions.
        balance_change: What moved apart from profit and commission, such as a transfer or a funding fee.
    """

    asset: str
    wallet_balance: Decimal
    cross_wallet_balance: Decimal | None
    balance_change: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamPosition:
    """The state of one position after an event, with the field names of a position row.

    Attributes:
        position_amt: Signed, in base units; negative is short, on every side.
        accumulated_realized: Realised profit of this symbol and side before fees, since ever; being flat does not
            reset it.
        unrealized_profit: By the mark price of that moment.
        margin_type: ``cross`` or ``isolated``.
    """

    symbol: str
    position_side: str
    position_amt: Decimal
    entry_price: Decimal
    break_even_price: Decimal | None
    accumulated_realized: Decimal
    unrealized_profit: Decimal
    margin_type: str
    isolated_wallet: Decimal
    margin_asset: str | None

    @property
    def key(self) -> Key:
        return self.symbol, self.position_side


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountUpdate:
    """Balances and positions that changed in one transaction. What is not in it is unchanged, never flat.

    Attributes:
        time: When it happened; one fill's events all have the same.
        event_time: When the exchange sent it.
        reason: As the exchange names it, such as ``ORDER``; new reasons come without notice.
        symbol: Which symbol's funding it was; for every other reason ``None``.
        raw: The message's text.
    """

    time: datetime
    event_time: datetime
    reason: str
    balances: tuple[BalanceChange, ...]
    positions: tuple[StreamPosition, ...]
    symbol: str | None
    raw: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """An order of the account was filled, in whole or in part.

    Attributes:
        event_time: When the exchange sent it; ``fill.time`` is when it happened.
        raw: The message's text.
    """

    fill: Fill
    event_time: datetime
    raw: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptEvent:
    """A message that is only kept: a margin call, a changed setting, one that is unknown or not as documented.

    Attributes:
        kind: As the exchange names it; empty when the message is not as documented.
        event_time: When the exchange sent it, if it says so.
        raw: The message's text, which need not be JSON when there is no kind.
    """

    kind: str
    event_time: datetime | None
    raw: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenKeyExpired:
    """The exchange sends nothing more on this connection, and leaves it open.

    The key that it names is a secret, which nobody behind the stream needs: it is left out.
    """

    event_time: datetime | None


Event = AccountUpdate | Trade | KeptEvent | ListenKeyExpired


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """When a message came in, and its place among the others of its account.

    Attributes:
        number: Counts up while the process lives, over all connections. It alone orders messages that the exchange
            sent in the same millisecond.
        received_at: Own wall clock.
        clock_offset: Exchange clock minus own clock; ``None`` when it could not be measured yet.
    """

    number: int
    received_at: datetime
    clock_offset: timedelta | None

    @property
    def exchange_time(self) -> datetime:
        """The exchange's time of receiving."""
        return self.received_at + (self.clock_offset or timedelta(0))


@dataclass(frozen=True, slots=True)
class Told:
    """One message of an account's stream, and when it came in."""

    account: str
    arrival: Arrival
    event: Event

    @property
    def happened_at(self) -> datetime:
        """When what it tells of happened, exchange time: some time before it came in, if it says so."""
        match self.event:
            case AccountUpdate(time=time) | Trade(fill=Fill(time=time)):
                return min(time, self.arrival.exchange_time)
            case KeptEvent(event_time=datetime() as time) | ListenKeyExpired(event_time=datetime() as time):
                return min(time, self.arrival.exchange_time)
            case _:
                return self.arrival.exchange_time
