"""The broker of backtests: brackets matched with the tape by `mia._fast.matching`.

How orders are filled is written there. MES orders are filled at the prices of the ES tape.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mia._fast import matching
from mia.config import method
from mia.config.instruments import instrument
from mia.core.base_types import OrderRole, OrderType, TradeBlock
from mia.core.trading_types import BracketOrder, Fill
from mia.errors import BrokerError, ConfigError

_ORDERS_PER_BRACKET = 4
_AMPLE = np.array([2**31 - 1], np.int32)


class Excursions(NamedTuple):
    """Best and worst open profit of a position in ticks, at traded prices.

    Both are signed and count from the entry's fill price, so slippage may leave even the best
    below zero. On bars the entry's own bar counts with its adverse extreme and its close, and
    the bar of a stop with nothing beyond the stop.
    """

    mfe: int
    mae: int


@dataclass(slots=True)
class _Bracket:
    order: BracketOrder
    entry_id: int
    stop_id: int
    target_id: int
    tick_value: float
    commission: float
    stop: int
    flatten_id: int = 0
    position: int = 0
    entry_price: int | None = None
    high: int = 0
    low: int = 0

    def role(self, order_id: int) -> OrderRole:
        return {
            self.entry_id: OrderRole.ENTRY,
            self.stop_id: OrderRole.STOP,
            self.target_id: OrderRole.TARGET,
            self.flatten_id: OrderRole.FLATTEN,
        }[order_id]


class SimulatedBroker:
    """Implements `mia.core.protocols.Broker` against a tape; costs and latency as configured.

    Parameters
    ----------
    cost : method.Cost
        Commissions in USD per side and contract, slippage in ticks.
    fill : method.Fill
        Latency, and whether limit orders fill when traded through or from the queue.
    queue_ahead : callable, optional
        ``queue_ahead(side, price)`` gives the contracts displayed at a price when an order
        begins to rest there; needed where ``fill.limit`` is ``queue``.
    max_brackets : int, default 16
        Brackets that may be at work at a time.

    Raises
    ------
    ConfigError
        If queue fills are asked for without book sizes.

    Notes
    -----
    Order ids count from 1 in order of submission, so the same requests on the same tape give the
    same ids and fills, however the tape is split.
    """

    def __init__(
        self,
        cost: method.Cost,
        fill: method.Fill,
        *,
        queue_ahead: Callable[[int, int], int] | None = None,
        max_brackets: int = 16,
    ) -> None:
        if fill.limit == "queue" and queue_ahead is None:
            raise ConfigError("fill.limit = queue needs book sizes: use through on this data")
        self._queue_ahead = queue_ahead if fill.limit == "queue" else None
        self._commission = {"ES": cost.es_side, "MES": cost.mes_side}
        self._engine = matching.MatchingEngine(
            capacity=_ORDERS_PER_BRACKET * max_brackets,
            latency_ns=fill.latency_ns,
            slip_ticks=cost.slip_ticks,
            queue=fill.limit == "queue",
        )
        self._max_brackets = max_brackets
        self._brackets: dict[str, _Bracket] = {}
        self._live: dict[str, _Bracket] = {}
        self._by_order: dict[int, _Bracket] = {}
        self._fills: list[Fill] = []
        self._realized = 0.0

    @property
    def is_idle(self) -> bool:
        """Whether nothing can be filled, so that `advance` may be skipped."""
        return self._engine.is_idle

    @property
    def realized_pnl(self) -> float:
        """USD won by closed contracts, less all commissions so far."""
        return self._realized

    def submit(self, order: BracketOrder) -> None:
        """Send an entry with its protective stop and its target.

        The stop rests at the exchange with the entry and covers every contract from its fill on;
        stop and target exclude each other.

        Raises
        ------
        BrokerError
            If the bracket contradicts itself, its id is known, its symbol or type of entry is
            not traded, or too many brackets are at work.
        """
        self._check(order)
        engine, side, ts = self._engine, order.side, order.ts
        queue = 0
        if self._queue_ahead is not None and order.entry_type is OrderType.LIMIT:
            queue = self._queue_ahead(side, order.entry)
        price = 0 if order.entry_type is OrderType.MARKET else order.entry
        entry = engine.submit(
            ts, side, order.entry_type, order.quantity, price, price, queue_ahead=queue
        )
        stop = engine.submit(ts, -side, OrderType.STOP, 0, order.stop, parent=entry)
        target = engine.submit(
            ts, -side, OrderType.LIMIT, 0, limit_price=order.target, parent=entry
        )
        bracket = _Bracket(
            order,
            entry,
            stop,
            target,
            instrument(order.symbol).tick_value,
            self._commission[order.symbol],
            order.stop,
        )
        self._brackets[order.bracket_id] = self._live[order.bracket_id] = bracket
        self._by_order |= dict.fromkeys((entry, stop, target), bracket)

    def cancel_entry(self, bracket_id: str, ts: int) -> None:
        """Cancel what is unfilled of an entry; protection of what is filled stays.

        Nothing happens if nothing is unfilled by the time the request arrives.
        """
        self._engine.cancel(self._bracket(bracket_id).entry_id, ts)

    def modify_stop(self, bracket_id: str, stop: int, ts: int) -> None:
        """Move the protective stop; nothing happens if the bracket is done.

        Raises
        ------
        BrokerError
            If the stop is on the wrong side of the newest price or, before the entry fills, of
            the entry: an exchange would trigger it at once. Whether a move only tightens is not
            the broker's question. A market that passes the stop before the request arrives
            triggers it with the next trade.
        """
        bracket = self._bracket(bracket_id)
        order = bracket.order
        market = None if order.entry_type is OrderType.MARKET else order.entry
        if bracket.position:
            market = self._engine.last_price
        if not self.is_open(bracket_id):
            return
        if market is not None and (stop - market) * order.side >= 0:
            raise BrokerError(
                f"stop {stop} of bracket {bracket_id} would trigger at once, the market is at "
                f"{market}: flatten instead"
            )
        try:
            self._engine.modify(bracket.stop_id, ts, stop)
        except ValueError as refusal:
            raise BrokerError(f"stop {stop} of bracket {bracket_id}: {refusal}") from None
        bracket.stop = stop

    def flatten(self, bracket_id: str, ts: int) -> None:
        """Close a bracket at market and cancel what is unfilled of its entry.

        Stop and target work until the position is zero, and the exit closes what is open when it
        arrives, so that no race can turn the position round. Once is enough; nothing happens to
        a bracket that is done.
        """
        bracket = self._bracket(bracket_id)
        if bracket.flatten_id or not self.is_open(bracket_id):
            return
        self._engine.cancel(bracket.entry_id, ts)
        bracket.flatten_id = self._engine.submit(
            ts, -bracket.order.side, OrderType.MARKET, 0, parent=bracket.entry_id
        )
        self._by_order[bracket.flatten_id] = bracket

    def close_out(self, bracket_id: str, ts: int, price: int) -> None:
        """End a bracket when its contract has no more data: at its last traded price.

        Parameters
        ----------
        ts : int
            Time of the last trade; the exit counts as sent then.
        price : int
            Ticks. The exit pays the slippage of any market order.
        """
        self.flatten(bracket_id, ts)
        arrival = ts + self._engine.latency_ns
        self._engine.advance(
            np.array([arrival], np.int64), np.array([price], np.int32), _AMPLE, 0, 1
        )
        for record in self._engine.fills:
            self._on_fill(record)

    def position(self, bracket_id: str) -> int:
        """Return the signed position of a bracket."""
        return self._bracket(bracket_id).position

    def poll(self) -> Sequence[Fill]:
        """Return the fills since the last call, in order."""
        fills, self._fills = self._fills, []
        return fills

    def is_open(self, bracket_id: str) -> bool:
        """Whether a bracket has a position or an entry that may still fill."""
        return any(self._engine.quantities(self._bracket(bracket_id).entry_id))

    def is_working(self, bracket_id: str) -> bool:
        """Whether a bracket's entry may still fill; true while a cancellation is under way."""
        return self._engine.quantities(self._bracket(bracket_id).entry_id)[0] > 0

    def order_ids(self, bracket_id: str) -> dict[OrderRole, int]:
        """Return the ids of a bracket's orders at the exchange."""
        bracket = self._bracket(bracket_id)
        ids = (bracket.entry_id, bracket.stop_id, bracket.target_id, bracket.flatten_id)
        return {bracket.role(order_id): order_id for order_id in ids if order_id}

    def advance(self, block: TradeBlock | NDArray[np.void], start: int, stop: int) -> int:
        """Match the trades or bars [start, stop) until one fills an order.

        Parameters
        ----------
        block : TradeBlock, or ndarray of records.BAR_DTYPE
            Trades are those the exchange saw, not those a filter left.
        start, stop : int

        Returns
        -------
        int
            Index of the first event not yet seen: `stop`, or one after the event that filled.
        """
        if isinstance(block, TradeBlock):
            end = self._engine.advance(block.ts_event, block.price, block.size, start, stop)
        else:
            end = self._engine.advance_bars(block, start, stop)
        for record in self._engine.fills:
            self._on_fill(record)
        return end

    def mark_to_market(self, price: int | None = None) -> float:
        """Return the P&L in USD, net of commissions paid, with what is open valued at a price.

        Parameters
        ----------
        price : int, optional
            Ticks; the newest price seen if absent.
        """
        if price is None:
            price = self._engine.last_price
        return self._realized + sum(
            bracket.position * (price - bracket.entry_price) * bracket.tick_value
            for bracket in self._live.values()
            if bracket.entry_price is not None
        )

    def excursions(self, bracket_id: str) -> Excursions:
        """Return the best and the worst open profit since the entry, for good once it is closed.

        Raises
        ------
        BrokerError
            If the entry has not been filled.
        """
        bracket = self._bracket(bracket_id)
        if bracket.entry_price is None:
            raise BrokerError(f"bracket {bracket_id} has not been filled: it has no excursions")
        high, low = bracket.high, bracket.low
        if bracket.position:
            high, low = self._engine.extremes(bracket.entry_id)
        above, below = high - bracket.entry_price, low - bracket.entry_price
        return Excursions(above, below) if bracket.order.side > 0 else Excursions(-below, -above)

    def _bracket(self, bracket_id: str) -> _Bracket:
        try:
            return self._brackets[bracket_id]
        except KeyError:
            raise BrokerError(f"bracket {bracket_id} was never submitted here") from None

    def _check(self, order: BracketOrder) -> None:
        name, side = f"bracket {order.bracket_id}", order.side
        if order.bracket_id in self._brackets:
            raise BrokerError(f"{name} was submitted before: an id serves once")
        if order.symbol not in self._commission:
            raise BrokerError(f"{name}: {order.symbol} is not traded here, use ES or MES")
        if side not in (-1, 1) or order.quantity < 1:
            raise BrokerError(f"{name}: side {side} and quantity {order.quantity} make no order")
        if order.entry_type is OrderType.STOP_LIMIT:
            raise BrokerError(f"{name}: an entry is MARKET, LIMIT or STOP")
        entry = order.stop + side if order.entry_type is OrderType.MARKET else order.entry
        if not order.stop * side < entry * side < order.target * side:
            raise BrokerError(
                f"{name}: entry {order.entry} must lie between stop {order.stop} and target "
                f"{order.target}, in the direction of side {side}"
            )
        self._live = {key: live for key, live in self._live.items() if self.is_open(key)}
        if len(self._live) >= self._max_brackets:
            raise BrokerError(f"{name}: {self._max_brackets} brackets are at work already")

    def _on_fill(self, record: np.void) -> None:
        order_id = int(record["order_id"])
        bracket = self._by_order[order_id]
        side, quantity, price = (int(record[name]) for name in ("side", "quantity", "price"))
        role = bracket.role(order_id)
        commission = bracket.commission * quantity
        if role is OrderRole.ENTRY:
            if bracket.entry_price is None and self._queue_ahead is not None:
                target = bracket.order.target
                self._engine.set_queue_ahead(bracket.target_id, self._queue_ahead(-side, target))
            # Only limit orders fill in parts, and all parts at the limit price.
            bracket.entry_price = price
        elif bracket.entry_price is not None:
            profit = (bracket.entry_price - price) * side * quantity
            self._realized += profit * bracket.tick_value
        self._realized -= commission
        bracket.position += side * quantity
        bracket.high, bracket.low = int(record["high"]), int(record["low"])
        self._fills.append(
            Fill(
                bracket_id=bracket.order.bracket_id,
                role=role,
                ts=int(record["ts"]),
                side=side,
                quantity=quantity,
                price=price,
                reference_price=self._reference(bracket, role, record),
                commission=commission,
            )
        )

    @staticmethod
    def _reference(bracket: _Bracket, role: OrderRole, record: np.void) -> int:
        """Return the price that was asked for: what a stop loses in a gap is slippage too."""
        if role is OrderRole.STOP:
            return bracket.stop
        if role is OrderRole.ENTRY and bracket.order.entry_type is OrderType.STOP:
            return bracket.order.entry
        return int(record["reference_price"])
