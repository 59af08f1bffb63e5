"""The ledger of one account: its wallets, and a line for every change of them."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count

from recorder.simulator.books.fill import Fill
from recorder.simulator.books.income import Income, IncomeType
from recorder.simulator.position import ZERO, PositionSide

_SINCE_EVER = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_TRAN_ID = 8_082_457_372_019_390_061  # far beyond what a double can hold


class Ledger:
    """Books lines. At any time each wallet is what it was at the start and the sum of its lines.

    Attributes:
        wallets: Wallet balance per asset, without unrealised profit.
        times: When each wallet last changed; an asset that never did is missing.
        incomes: Every line, in the order of booking.
        history: Per asset each balance with the moment from which it was in force, the first since ever.
    """

    def __init__(self, account: str, wallets: Mapping[str, Decimal]) -> None:
        self.wallets = dict(wallets)
        self.times: dict[str, datetime] = {}
        self.incomes: list[Income] = []
        self.history = {asset: [(_SINCE_EVER, balance)] for asset, balance in wallets.items()}
        self._account = account
        self._tran_ids: dict[str, Iterator[int]] = defaultdict(lambda: count(_FIRST_TRAN_ID))

    def begin_again(self) -> None:
        """Give the first numbers of lines out once more."""
        self._tran_ids.clear()

    def book(
        self,
        type_: IncomeType,
        asset: str,
        amount: Decimal,
        *,
        at: datetime,
        time: datetime | None = None,
        symbol: str = "",
        position_side: PositionSide | None = None,
    ) -> None:
        """Change a wallet. *time* is what the line says, if it is not the moment of booking."""
        self._add(
            Income(
                account=self._account,
                type=type_,
                asset=asset,
                amount=amount,
                time=time or at,
                booked_at=at,
                tran_id=next(self._tran_ids[type_]),
                symbol=symbol,
                position_side=position_side,
            )
        )

    def book_fill(self, fill: Fill) -> None:
        """Book profit and commission, which share a number; nothing is booked for a zero."""
        tran_id = next(self._tran_ids["trade"])
        parts: tuple[tuple[IncomeType, str, Decimal], ...] = (
            ("REALIZED_PNL", fill.margin_asset, fill.realized_profit),
            ("COMMISSION", fill.commission_asset, -fill.commission),
        )
        for type_, asset, amount in parts:
            if amount:
                self._add(
                    Income(
                        account=self._account,
                        type=type_,
                        asset=asset,
                        amount=amount,
                        time=fill.time,
                        booked_at=fill.time,
                        tran_id=tran_id,
                        symbol=fill.symbol,
                        trade_id=fill.trade_id,
                    )
                )

    def _add(self, income: Income) -> None:
        asset = income.asset
        balance = self.wallets.get(asset, ZERO) + income.amount
        self.wallets[asset] = balance
        self.times[asset] = income.booked_at
        self.incomes.append(income)
        self.history.setdefault(asset, [(_SINCE_EVER, ZERO)]).append((income.booked_at, balance))
