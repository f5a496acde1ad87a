"""The checks of `TickGate` for a feed that says who crossed the spread, and at which quote.

Side and quote of a trade are what the feed says, never inferred and never replaced. The quote is
that which was stored with the trade and may be as wrong as its price, so it is no witness for it:
a trade far from the last waits for two more beside it.
"""

from mia.core.base_types import TradeBlock
from mia.data.live_ticks import (
    DECAY,
    MAX_SIZE,
    MIN_JUMP,
    MIN_JUMP_SQUARED,
    SIGMAS_SQUARED,
    WITNESSES,
    HeldTrade,
    TickGate,
)
from mia.data.tick_verdicts import Refusal


class FeedGate(TickGate):
    """Checks blocks of trades of one contract and collects the good ones; see `TickGate`.

    `bid` and `ask` are those of the newest trade.
    """

    def on_block(self, block: TradeBlock) -> None:
        """Take trades in the order of the source.

        Raises
        ------
        ValueError
            If they are of another contract.
        """
        if block.contract != self.contract:
            raise ValueError(f"trades of {block.contract} came for {self.contract}")
        columns = (
            block.ts_event,
            block.price,
            block.size,
            block.aggressor_side,
            block.bid_price,
            block.ask_price,
        )
        for trade in zip(*(column.tolist() for column in columns), strict=True):
            self._on_told(trade)

    def _on_told(self, trade: HeldTrade) -> None:
        ts, price, size = trade[:3]
        if not self._low <= price <= self._high:
            self._refuse(Refusal.PRICE_RANGE, ts)
            return
        if not 0 < size <= MAX_SIZE:
            self._refuse(Refusal.SIZE, ts)
            return
        if not self._trade_ts <= ts < self._until:
            wrong = self._check_time(ts, self._trade_ts)
            if wrong is not None:
                self._refuse(wrong, ts)
                return
        move = (price - self._last) ** 2
        usual = max(MIN_JUMP_SQUARED, SIGMAS_SQUARED * self._variance)
        near = self._last and (move <= usual or move <= self._limit(ts, self._trade_ts))
        if not near:
            self._wait(trade)
            return
        if self._held:
            self._release([held for held in self._held if abs(held[1] - price) <= MIN_JUMP])
        self._variance += (min(move, usual) - self._variance) * DECAY
        self._put(*trade)

    def _wait(self, trade: HeldTrade) -> None:
        if self._held and abs(self._held[-1][1] - trade[1]) > MIN_JUMP:
            self._release([])
        self._held.append(trade)
        if len(self._held) >= WITNESSES:
            self._release(self._held)

    def _put(self, ts: int, price: int, size: int, side: int, bid: int, ask: int) -> None:
        self._columns.append(ts, price, size, side, bid, ask)
        self._last = price
        self._trade_ts = ts
        self.bid, self.ask = bid, ask
        self.accepted += 1
        self._tell(ts, True)
