"""What stands between a live feed and the market state: bad ticks end here.

A tick is refused if it is impossible: not a positive whole number, older than the one before,
ahead of the clock, outside trading, outside the price limits, a crossed quote. One that is only
unlikely, more than ten standard deviations from the last, waits until the market agrees with it: a
quote that covers it, or, where no quote stands, two more trades beside it. It is refused when the
next trade is where the market was.
"""

from collections import Counter
from collections.abc import Callable

from mia.core import sessions
from mia.core.aggressor import Aggressor
from mia.core.base_types import MISSING_PRICE, TradeBlock
from mia.core.protocols import Clock
from mia.data.tick_verdicts import UNREPORTED, DataFault, Refusal, is_trading, not_whole
from mia.data.trade_columns import TradeColumns

_SECOND = 1_000_000_000
_STALE_NS = 10 * _SECOND
_FROZEN_TRADES = 10
_FROZEN_NS = 2 * _SECOND
MIN_JUMP = 20
_LONGEST_SILENCE = 60.0
MIN_JUMP_SQUARED = float(MIN_JUMP**2)
SIGMAS_SQUARED = 100.0
DECAY = 1.0 / 256.0
WITNESSES = 3
MAX_SIZE = 1_000_000
_NEVER = 2**63 - 1

HeldTrade = tuple[int, int, int, int, int, int]


class TickGate:
    """Checks live ticks of one contract and collects the good trades.

    Parameters
    ----------
    clock : Clock
        Asked only when a tick seems to be ahead of what it said last.
    tell : callable
        Called with (ts, good) for every tick; `KillSwitch.record_quality` is one.
    contract : str
        As in ``ESZ25``.
    max_price : int
        Highest plausible price in ticks.
    capacity : int
        Trades for which there is room at the start.
    ahead_ns : int
        How far a tick may be ahead of the clock.

    Attributes
    ----------
    refused : Counter of Refusal
        Ticks refused since the start.
    unreported : int
        Trades passed over because their mask says that they make no price.
    accepted : int
        Trades accepted since the start, those that wait not counted.
    bid, ask : int
        The quote that stands, ticks; `MISSING_PRICE` where there is none.
    quotes_frozen : bool
        Trades have left the quote behind, and no new one came.
    """

    def __init__(
        self,
        clock: Clock,
        tell: Callable[[int, bool], object],
        contract: str,
        max_price: int,
        *,
        capacity: int = 16_384,
        ahead_ns: int = 5 * _SECOND,
    ) -> None:
        self._clock = clock
        self._tell = tell
        self._max_price = max_price
        self._ahead_ns = ahead_ns
        self._aggressor = Aggressor()
        self._columns = TradeColumns(capacity)
        self.bid = self.ask = MISSING_PRICE
        self._next_quote: tuple[int, int, int] | None = None
        self._held: list[HeldTrade] = []
        self.refused: Counter[Refusal] = Counter()
        self.unreported = 0
        self.accepted = 0
        self.contract = contract
        self.start_contract(contract)

    def start_contract(self, contract: str) -> None:
        """Begin afresh with another contract; the trades collected must have been taken.

        Raises
        ------
        ValueError
            If some were not.
        """
        if len(self._columns):
            raise ValueError(f"{len(self._columns)} trades of {self.contract} were not taken")
        self.contract = contract
        self._low, self._high = 1, self._max_price
        self._aggressor.reset()
        self._last = 0
        self._variance = 0.0
        self._held = []
        self._trade_ts = self._quote_ts = 0
        self._session_end = self._until = 0
        self._drop_quote()
        self.quotes_frozen = False

    def set_limits(self, low: int, high: int) -> None:
        """Refuse prices outside [low, high] ticks, the price limits of the exchange."""
        self._low, self._high = max(low, 1), min(high, self._max_price)

    def lose_quote(self) -> None:
        """Forget the quote, as after a connection that was lost."""
        self._drop_quote()

    def go_on(self, quote: tuple[int, int], last: tuple[int | None, int]) -> None:
        """Infer sides from where a past ends that the gate has not seen itself.

        Parameters
        ----------
        quote, last : tuple
            As `WireProjection` has them. The quote counts only while none came live.

        Raises
        ------
        ValueError
            If trades that are not part of that past were not taken.
        """
        if len(self._columns):
            raise ValueError(f"{len(self._columns)} trades of {self.contract} were not taken")
        if self.bid == MISSING_PRICE and self.ask == MISSING_PRICE:
            self.bid, self.ask = quote
        self._aggressor.price, self._aggressor.side = last
        if last[0] is not None and not self._last:
            self._last = last[0]

    def on_trade(self, ts: int, price: float, size: float, side: int = 0, flags: int = 0) -> bool:
        """Take a trade; true if it was accepted or waits for a witness.

        Parameters
        ----------
        ts : int
            Exchange time, ns UTC.
        price : int
            Ticks. Anything that is no whole positive number is refused.
        size : int
            Contracts.
        side : int
            Aggressor where the feed knows it, else 0: it is then inferred.
        flags : int
            Mask of the wire.
        """
        if flags & UNREPORTED:
            self.unreported += 1
            return False
        if type(price) is not int or type(size) is not int:
            wrong = not_whole(price) or not_whole(size)
            if wrong is not None:
                return self._refuse(wrong, ts)
            price, size = int(price), int(size)
        if not self._low <= price <= self._high:
            return self._refuse(Refusal.PRICE_RANGE, ts)
        if not 0 < size <= MAX_SIZE:
            return self._refuse(Refusal.SIZE, ts)
        if not self._trade_ts <= ts < self._until:
            wrong = self._check_time(ts, self._trade_ts)
            if wrong is not None:
                return self._refuse(wrong, ts)
        if self._held or not self._last:
            return self._weigh(ts, price, size, side)
        move = (price - self._last) ** 2
        limit = max(MIN_JUMP_SQUARED, SIGMAS_SQUARED * self._variance)
        if move > limit:
            return self._weigh(ts, price, size, side)
        self._variance += (move - self._variance) * DECAY
        self._put(ts, price, size, side, self.bid, self.ask)
        return True

    def on_quote(self, ts: int, bid: float, ask: float) -> bool:
        """Take the best bid and ask in ticks; true if they stand now or wait for a witness.

        `MISSING_PRICE` on a side says that nobody bids or offers.
        """
        if type(bid) is not int or type(ask) is not int:
            wrong = not_whole(bid) or not_whole(ask)
            if wrong is not None:
                return self._refuse(wrong, ts)
            bid, ask = int(bid), int(ask)
        if not (
            (self._low <= bid <= self._high or bid == MISSING_PRICE)
            and (self._low <= ask <= self._high or ask == MISSING_PRICE)
        ):
            return self._refuse(Refusal.PRICE_RANGE, ts)
        if bid > ask != MISSING_PRICE:
            return self._refuse(Refusal.CROSSED, ts)
        if not self._quote_ts <= ts < self._until:
            wrong = self._check_time(ts, self._quote_ts)
            if wrong is Refusal.CLOSED:
                # Orders are entered before the market opens: no market yet, and no fault.
                return False
            if wrong is not None:
                return self._refuse(wrong, ts)
        unmoved = self._next_quote is None and -MIN_JUMP <= bid - self.bid <= MIN_JUMP
        if not unmoved and self._is_far(ts, bid, ask):
            if self._next_quote is not None and not _beside(self._next_quote, bid, ask):
                self._refuse(Refusal.JUMP, ts)
                self._next_quote = None
            if self._next_quote is None:
                self._next_quote = (ts, bid, ask)
                return True
        elif self._next_quote is not None:
            self._refuse(Refusal.JUMP, self._next_quote[0])
        self._stand(ts, bid, ask)
        if self._held:
            self._hear_quote()
        return True

    def on_bad_tick(self, ts: int, why: Refusal = Refusal.CONNECTOR) -> None:
        """Count a tick that the connection refused already."""
        self._refuse(why, ts)

    def fault(self, now: int) -> DataFault | None:
        """Tell what is wrong with the data as a whole, None if nothing is.

        Outside regular hours a silent market is no fault.
        """
        if self.quotes_frozen:
            return DataFault.QUOTES_FROZEN
        if now - self.newest <= _STALE_NS:
            return None
        day = sessions.session_id(now)
        return DataFault.STALE if sessions.is_trading_day(day) and sessions.in_rth(now) else None

    def take(self) -> TradeBlock | None:
        """Hand out the trades accepted since the last call, None without any."""
        return self._columns.take(self.contract)

    @property
    def newest(self) -> int:
        """Exchange time of the newest accepted tick, 0 before the first."""
        return max(self._trade_ts, self._quote_ts)

    @property
    def waiting(self) -> int:
        """Trades that wait for a witness."""
        return len(self._held)

    def _put(self, ts: int, price: int, size: int, side: int, bid: int, ask: int) -> None:
        if price > ask != MISSING_PRICE or price < bid:
            self._outside += 1
            if self._outside >= _FROZEN_TRADES and ts - self._quote_ts > _FROZEN_NS:
                self.quotes_frozen = True
                self._drop_quote()
                bid = ask = MISSING_PRICE
        inferred = self._aggressor.infer(price, bid, ask)
        self._columns.append(ts, price, size, side or inferred, bid, ask)
        self._last = price
        self._trade_ts = ts
        self.accepted += 1
        self._tell(ts, True)

    def _stand(self, ts: int, bid: int, ask: int) -> None:
        self.bid, self.ask = bid, ask
        self._quote_ts = ts
        self._next_quote = None
        self._outside = 0
        self.quotes_frozen = False
        self._tell(ts, True)

    def _drop_quote(self) -> None:
        self.bid = self.ask = MISSING_PRICE
        self._next_quote = None
        self._outside = 0

    def _refuse(self, why: Refusal, ts: int) -> bool:
        self.refused[why] += 1
        self._tell(ts, False)
        return False

    def _check_time(self, ts: int, before: int) -> Refusal | None:
        """Judge a time that is before the newest of its stream or beyond what was known."""
        if ts < before:
            return Refusal.TIME_BACK
        limit = self._clock.now() + self._ahead_ns
        if ts >= limit:
            return Refusal.AHEAD
        if ts >= self._session_end:
            if not is_trading(ts):
                return Refusal.CLOSED
            for held in self._held:
                self._refuse(Refusal.JUMP, held[0])
            self._held.clear()
            self._aggressor.reset()
            day = sessions.session_id(ts)
            self._session_end = int(sessions.session_table(day, day)["t_end"][0])
        self._until = min(limit, self._session_end)
        return None

    def _limit(self, ts: int, before: int) -> float:
        """Square of the move that is likely after a silence, which counts in minutes."""
        silence = min(max(0, ts - before) / (60 * _SECOND), _LONGEST_SILENCE)
        return max(MIN_JUMP_SQUARED, SIGMAS_SQUARED * self._variance) * (1.0 + silence)

    def _is_far(self, ts: int, bid: int, ask: int) -> bool:
        limit = self._limit(ts, self.newest)
        known = [price for price in (self.bid, self.ask, self._last) if price > 0]
        told = [price for price in (bid, ask) if price > 0]
        if not told:
            return False
        return not any((a - b) ** 2 <= limit for a in known for b in told)

    def _covers(self, quote: tuple[int, int], price: int) -> bool:
        bid, ask = quote
        sides = (bid != MISSING_PRICE) + (ask != MISSING_PRICE)
        return (
            sides > 0
            and (bid == MISSING_PRICE or bid - MIN_JUMP <= price)
            and (ask == MISSING_PRICE or price <= ask + MIN_JUMP)
        )

    def _weigh(self, ts: int, price: int, size: int, side: int) -> bool:
        """Decide on a trade far from the last one, or on any while some wait."""
        if self._next_quote is not None and self._covers(self._next_quote[1:], price):
            self._stand(*self._next_quote)
        limit = self._limit(ts, self._trade_ts)
        move = (price - self._last) ** 2
        if (self._last and move <= limit) or self._covers((self.bid, self.ask), price):
            self._release([trade for trade in self._held if abs(trade[1] - price) <= MIN_JUMP])
            if self._last:
                usual = max(MIN_JUMP_SQUARED, SIGMAS_SQUARED * self._variance)
                self._variance += (min(move, usual) - self._variance) * DECAY
            self._put(ts, price, size, side, self.bid, self.ask)
            return True
        if self._held and abs(self._held[-1][1] - price) > MIN_JUMP:
            self._release([])
        self._held.append((ts, price, size, side, self.bid, self.ask))
        if self.bid == MISSING_PRICE and self.ask == MISSING_PRICE:
            if len(self._held) >= WITNESSES:
                self._release(self._held)
        elif len(self._held) >= _FROZEN_TRADES and ts - self._quote_ts > _FROZEN_NS:
            # So many trades away from a quote that does not move: it is the quote that is wrong.
            self.quotes_frozen = True
            self._drop_quote()
            self._release(self._held)
        return True

    def _hear_quote(self) -> None:
        """Let a new quote speak for trades that wait."""
        quote = (self.bid, self.ask)
        good = [trade for trade in self._held if self._covers(quote, trade[1])]
        if good:
            self._release(good)

    def _release(self, good: list[HeldTrade]) -> None:
        """Accept `good` of the trades that wait and refuse the others."""
        held, self._held = self._held, []
        for trade in held:
            if trade in good:
                self._put(*trade)
            else:
                self._refuse(Refusal.JUMP, trade[0])


def _beside(quote: tuple[int, int, int], bid: int, ask: int) -> bool:
    return abs(quote[1] - bid) <= MIN_JUMP or abs(quote[2] - ask) <= MIN_JUMP
