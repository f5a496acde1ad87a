"""Accounts of the simulated gateway: positions, cash, margins and profits.

Futures are marked to market: a position costs nothing but its margin, and what it has won or
lost is part of the equity at once.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mia.config.instruments import INSTRUMENTS
from mia.gateway.model import ApiContract

MAINTENANCE_SHARE = 1 / 1.1
"""Maintenance margin as a share of the initial one: the exchange asks a tenth more to open."""

CASH_AT_START = 100_000.0

PriceOf = Callable[[ApiContract], float | None]


@dataclass(slots=True)
class _Entry:
    """A line of the account's ledger; without a contract it is the start of a trading day."""

    contract: ApiContract | None
    quantity: int = 0
    price: float = 0.0
    commission: float = 0.0
    execution: str = ""


@dataclass(slots=True)
class Position:
    """What an account holds of a contract.

    Attributes
    ----------
    quantity : int
        Signed contracts.
    average_price : float
        Points; 0 when flat.
    realized : float
        USD won by closed contracts since the start of the trading day, before commissions.
    entry_commission : float
        USD paid for the contracts that are open.
    """

    contract: ApiContract
    quantity: int = 0
    average_price: float = 0.0
    realized: float = 0.0
    entry_commission: float = 0.0

    @property
    def multiplier(self) -> float:
        """USD per point and contract."""
        return float(self.contract.multiplier or 1)

    @property
    def average_cost(self) -> float:
        """USD per contract: price times multiplier."""
        return self.average_price * self.multiplier


@dataclass(frozen=True, slots=True)
class PositionValue:
    """A position at the market, USD; `unrealized` counts from the average cost."""

    contract: ApiContract
    quantity: int
    market_price: float
    market_value: float
    average_cost: float
    unrealized: float
    realized: float


@dataclass(frozen=True, slots=True)
class Profit:
    """Profits of an account or of one position, USD."""

    daily: float
    unrealized: float
    realized: float


class Account:
    """One account.

    Parameters
    ----------
    name : str
        As in ``DU1234567``.
    price_of : callable
        Newest price of a contract in points, None before the first trade.
    cash : float
        USD at the start.
    """

    def __init__(self, name: str, price_of: PriceOf, cash: float = CASH_AT_START) -> None:
        self.name = name
        self.cash = cash
        self.commissions = 0.0
        self._cash_at_start = cash
        self._ledger: list[_Entry] = []
        self._price_of = price_of
        self._positions: dict[int, Position] = {}
        self._equity_at_open = cash
        self._value_at_open: dict[int, float] = {}

    @property
    def positions(self) -> Mapping[int, Position]:
        """Everything held since the trading day began, by con id; flat ones included."""
        return self._positions

    def quantity(self, con_id: int) -> int:
        """Return the signed position in a contract."""
        held = self._positions.get(con_id)
        return 0 if held is None else held.quantity

    def seed(self, contract: ApiContract, quantity: int, average_price: float) -> None:
        """Put a position into the account that no execution explains."""
        self._ledger.append(_Entry(contract, quantity, average_price))
        self._set(contract, quantity, average_price)
        self._value_at_open[contract.con_id] = self._paper(self._positions[contract.con_id])

    def apply(
        self,
        contract: ApiContract,
        quantity: int,
        price: float,
        commission: float,
        execution: str,
    ) -> float | None:
        """Book a fill.

        Parameters
        ----------
        quantity : int
            Signed contracts, not 0.
        price : float
            Points.
        commission : float
            USD for all of them.
        execution : str
            Names the fill for `rebook`.

        Returns
        -------
        float or None
            USD won by what it closed, less the commissions of opening and closing; None if it
            closed nothing.
        """
        self._ledger.append(_Entry(contract, quantity, price, commission, execution))
        return self._book(contract, quantity, price, commission)

    def settle(self, contract: ApiContract, price: float) -> None:
        """Close what is held of a contract at its final price, without commission."""
        quantity = self.quantity(contract.con_id)
        if quantity:
            name = f"settlement of {contract.con_id} at {len(self._ledger)}"
            self.apply(contract, -quantity, price, 0.0, name)

    def rebook(self, execution: str, price: float | None) -> None:
        """Correct the price of a fill, or strike the fill out with a price of None.

        Raises
        ------
        KeyError
            If no fill was booked under this name.
        """
        found = [k for k, each in enumerate(self._ledger) if each.execution == execution]
        if not found:
            raise KeyError(execution)
        if price is None:
            del self._ledger[found[0]]
        else:
            self._ledger[found[0]].price = price
        self.cash, self.commissions, self._positions = self._cash_at_start, 0.0, {}
        for entry in self._ledger:
            if entry.contract is None:
                self._forget_yesterday()
            elif entry.execution:
                self._book(entry.contract, entry.quantity, entry.price, entry.commission)
            else:
                self._set(entry.contract, entry.quantity, entry.price)

    def _set(self, contract: ApiContract, quantity: int, average_price: float) -> None:
        held = self._position(contract)
        held.quantity, held.average_price = quantity, average_price if quantity else 0.0

    def _book(
        self, contract: ApiContract, quantity: int, price: float, commission: float
    ) -> float | None:
        held = self._position(contract)
        self.cash -= commission
        self.commissions += commission
        closed = min(abs(held.quantity), abs(quantity)) if held.quantity * quantity < 0 else 0
        per_contract = commission / abs(quantity)
        realized: float | None = None
        if closed:
            direction = 1 if held.quantity > 0 else -1
            gross = (price - held.average_price) * direction * closed * held.multiplier
            entry = held.entry_commission * closed / abs(held.quantity)
            held.entry_commission -= entry
            held.realized += gross
            self.cash += gross
            realized = gross - entry - per_contract * closed
        opened = abs(quantity) - closed
        before = 0 if closed and opened else abs(held.quantity) - closed
        held.quantity += quantity
        if opened:
            paid = held.average_price * before + price * opened
            held.average_price = paid / (before + opened)
            held.entry_commission += per_contract * opened
        if held.quantity == 0:
            held.average_price = held.entry_commission = 0.0
        return realized

    def start_day(self) -> None:
        """Begin a trading day: daily and realized profits count from here."""
        self._ledger.append(_Entry(None))
        self._forget_yesterday()
        self._equity_at_open = self.equity
        self._value_at_open = {key: self._paper(each) for key, each in self._positions.items()}

    @property
    def unrealized(self) -> float:
        """USD of open profit at the newest prices."""
        return sum(self._paper(held) for held in self._positions.values())

    @property
    def realized(self) -> float:
        """USD won by closed contracts today, before commissions."""
        return sum(held.realized for held in self._positions.values())

    @property
    def equity(self) -> float:
        """Net liquidation value, USD."""
        return self.cash + self.unrealized

    @property
    def initial_margin(self) -> float:
        """USD needed to open what is held."""
        return sum(
            abs(held.quantity) * margin_of(held.contract) for held in self._positions.values()
        )

    @property
    def maintenance_margin(self) -> float:
        """USD needed to keep what is held."""
        return self.initial_margin * MAINTENANCE_SHARE

    def initial_margin_with(self, contract: ApiContract, quantity: int) -> float:
        """Return the initial margin if signed `quantity` more were held of a contract."""
        held = self.quantity(contract.con_id)
        return self.initial_margin + (abs(held + quantity) - abs(held)) * margin_of(contract)

    def maintenance_margin_with(self, contract: ApiContract, quantity: int) -> float:
        """Return the maintenance margin if signed `quantity` more were held of a contract."""
        return self.initial_margin_with(contract, quantity) * MAINTENANCE_SHARE

    def value(self, con_id: int) -> PositionValue:
        """Return a position at the market; a flat one that was never held has only zeros.

        Raises
        ------
        KeyError
            If the contract was not held since the trading day began.
        """
        held = self._positions[con_id]
        price = self._mark(held)
        return PositionValue(
            contract=held.contract,
            quantity=held.quantity,
            market_price=price,
            market_value=price * held.quantity * held.multiplier,
            average_cost=held.average_cost,
            unrealized=self._paper(held),
            realized=held.realized,
        )

    def profit(self) -> Profit:
        """Return the account's profits; the daily one is net of commissions."""
        return Profit(self.equity - self._equity_at_open, self.unrealized, self.realized)

    def profit_of(self, con_id: int) -> Profit:
        """Return one position's profits, before commissions.

        Raises
        ------
        KeyError
            If the contract was not held since the trading day began.
        """
        held = self._positions[con_id]
        paper = self._paper(held)
        daily = held.realized + paper - self._value_at_open.get(con_id, 0.0)
        return Profit(daily, paper, held.realized)

    def values(self) -> dict[str, tuple[str, str]]:
        """Return what account updates and summaries show, as (text, currency) by key."""
        equity, initial, maintenance = self.equity, self.initial_margin, self.maintenance_margin
        held = sum(
            abs(each.quantity) * self._mark(each) * each.multiplier
            for each in self._positions.values()
        )
        amounts = {
            "NetLiquidation": equity,
            "EquityWithLoanValue": equity,
            "TotalCashValue": self.cash,
            "TotalCashBalance": self.cash,
            "CashBalance": self.cash,
            "SettledCash": self.cash,
            "AvailableFunds": equity - initial,
            "ExcessLiquidity": equity - maintenance,
            "FullAvailableFunds": equity - initial,
            "FullExcessLiquidity": equity - maintenance,
            "InitMarginReq": initial,
            "MaintMarginReq": maintenance,
            "FullInitMarginReq": initial,
            "FullMaintMarginReq": maintenance,
            "BuyingPower": max(0.0, equity - initial),
            "GrossPositionValue": held,
            "UnrealizedPnL": self.unrealized,
            "RealizedPnL": self.realized,
            "FuturesPNL": self.unrealized + self.realized,
        }
        texts = {key: (f"{amount:.2f}", "USD") for key, amount in amounts.items()}
        cushion = (equity - maintenance) / equity if equity > 0 else 0.0
        return {
            "AccountType": ("INDIVIDUAL", ""),
            "AccountCode": (self.name, ""),
            "AccountReady": ("true", ""),
            "Cushion": (f"{cushion:.6f}", ""),
            **texts,
        }

    def _forget_yesterday(self) -> None:
        self._positions = {key: each for key, each in self._positions.items() if each.quantity}
        for held in self._positions.values():
            held.realized = 0.0
        self.commissions = 0.0

    def _position(self, contract: ApiContract) -> Position:
        return self._positions.setdefault(contract.con_id, Position(contract))

    def _mark(self, held: Position) -> float:
        price = self._price_of(held.contract)
        return held.average_price if price is None else price

    def _paper(self, held: Position) -> float:
        return (self._mark(held) - held.average_price) * held.quantity * held.multiplier


def margin_of(contract: ApiContract) -> float:
    """Return the initial margin of one contract, USD; 0 of what is no known future."""
    known = INSTRUMENTS.get(contract.symbol)
    return known.margin if known is not None and contract.sec_type == "FUT" else 0.0
