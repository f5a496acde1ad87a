"""The cycle's broker where orders are real: through the last gate to the order manager.

The cycle asks the same of it as of the simulated exchange. What it is shown of the tape it only
measures: fills come from the broker, through the manager, whenever they come.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mia.config.instruments import MONTH_CODES
from mia.core.base_types import TradeBlock
from mia.core.trading_types import BracketOrder, Fill
from mia.errors import BrokerError, OrderRefused
from mia.execution.gate_facts import GateFacts
from mia.execution.last_gate import LastGate
from mia.execution.order_manager import OrderManager

DRY_RUN = "DRY_RUN"
_LETTERS = "".join(MONTH_CODES.values())


@dataclass(slots=True)
class _Seen:
    """Prices traded while a bracket was open."""

    side: int
    entry: int
    high: int
    low: int


def traded_contract(symbol: str, tape: str) -> str:
    """Return the contract that is traded by the prices of a tape: ``MESZ25`` for ``ESZ25``."""
    month = tape[-3:]
    if len(tape) < 4 or month[0] not in _LETTERS or not month[1:].isdecimal():
        raise BrokerError(f"{tape!r} names no contract: expected one as ESZ25")
    return symbol + month


class IbkrBroker:
    """Implements what `mia.execution.simple_trader.SimpleTrader` asks of a broker.

    Parameters
    ----------
    manager : OrderManager
    gate : LastGate
    facts : callable
        Returns the world as it is for the gate, for a side of the market.
    dry_run : bool
        Refuse after the gate has let an order pass.
    """

    def __init__(
        self,
        manager: OrderManager,
        gate: LastGate,
        facts: Callable[[int], GateFacts],
        *,
        dry_run: bool = False,
    ) -> None:
        self.manager = manager
        self.gate = gate
        self._facts = facts
        self._dry_run = dry_run
        self._seen: dict[str, _Seen] = {}
        self._current = ""
        self._orphans: list[Fill] = []

    def submit(self, order: BracketOrder) -> None:
        """Send a bracket.

        Raises
        ------
        OrderRefused
            If nothing was sent, and nothing will be.
        """
        order = replace(order, contract=traded_contract(order.symbol, order.contract))
        refusal = self.gate.check(order, self._facts(order.side))
        if refusal is not None:
            raise OrderRefused(refusal.code.value, refusal.text)
        if self._dry_run:
            raise OrderRefused(
                DRY_RUN, f"bracket {order.bracket_id} passed the last gate", counts=False
            )
        self._current = order.bracket_id
        try:
            self.manager.submit(order)
        except BrokerError as error:
            # A chain that broke off may have reached the broker: it is ours until that is known.
            if order.bracket_id not in self.manager.ledger.brackets:
                raise OrderRefused("BROKER", str(error)) from error

    def cancel_entry(self, bracket_id: str, ts: int) -> None:
        """Cancel what is unfilled of an entry; protection of what is filled stays."""
        self.manager.cancel_entry(bracket_id, ts)

    def modify_stop(self, bracket_id: str, stop: int, ts: int) -> None:
        """Tighten the protective stop.

        Raises
        ------
        BrokerError
            If the market has passed it already.
        """
        self.manager.modify_stop(bracket_id, stop, ts)

    def flatten(self, bracket_id: str, ts: int) -> None:
        """Close a bracket at market."""
        self.manager.flatten(bracket_id, ts)

    def close_out(self, bracket_id: str, ts: int, price: int) -> None:
        """Close a bracket whose contract has no more data; its fills come as they come."""
        del price
        self.manager.flatten(bracket_id, ts)

    def position(self, bracket_id: str) -> int:
        """Return the signed position of a bracket."""
        return self.manager.position(bracket_id)

    def is_open(self, bracket_id: str) -> bool:
        """Whether a bracket has a position, an entry that may still fill, or fills to come.

        The cycle books one that is not: what fills of it later on are orphans.
        """
        if self.manager.is_open(bracket_id):
            return True
        if self._current == bracket_id:
            self._current = ""
        return False

    def poll(self) -> Sequence[Fill]:
        """Return the fills of the bracket at work since the last call, in the order told."""
        told = self.manager.poll()
        fills = [fill for fill in told if fill.bracket_id == self._current]
        self._orphans += [fill for fill in told if fill.bracket_id != self._current]
        for fill in fills:
            seen = self._seen.get(fill.bracket_id)
            if seen is None:
                self._seen[fill.bracket_id] = _Seen(fill.side, fill.price, fill.price, fill.price)
            else:
                _widen(seen, fill.price, fill.price)
        return fills

    def advance(self, block: TradeBlock | NDArray[np.void], start: int, stop: int) -> int:
        """Note what was traded; return `stop`."""
        if isinstance(block, TradeBlock):
            high, low = int(block.price[start:stop].max()), int(block.price[start:stop].min())
            self.manager.last_price = int(block.price[stop - 1])
        else:
            bars = block[start:stop]
            high, low = int(bars["high"].max()), int(bars["low"].min())
            self.manager.last_price = int(bars["close"][-1])
        for bracket_id, seen in self._seen.items():
            if self.manager.position(bracket_id):
                _widen(seen, high, low)
        return stop

    def excursions(self, bracket_id: str) -> tuple[int, int]:
        """Return the best and the worst open profit of a bracket in ticks, as seen from here.

        Raises
        ------
        BrokerError
            If nothing of it was filled.
        """
        seen = self._seen.get(bracket_id)
        if seen is None:
            raise BrokerError(f"bracket {bracket_id} has not been filled: it has no excursions")
        above, below = seen.high - seen.entry, seen.low - seen.entry
        return (above, below) if seen.side > 0 else (-below, -above)

    def take_orphans(self) -> list[Fill]:
        """Return fills of brackets that were taken for done, as a late one of an entry."""
        orphans, self._orphans = self._orphans, []
        return orphans

    def remember(self, bracket_id: str, fills: Sequence[Fill]) -> None:
        """Take up the bracket of an earlier run, with the fills that were booked."""
        self._current = bracket_id
        for fill in fills:
            seen = self._seen.setdefault(
                fill.bracket_id, _Seen(fill.side, fill.price, fill.price, fill.price)
            )
            _widen(seen, fill.price, fill.price)


def _widen(seen: _Seen, high: int, low: int) -> None:
    seen.high = max(seen.high, high)
    seen.low = min(seen.low, low)
