"""The synthetic market: sessions of trades from a seed, with truth tables of what is hidden."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from mia._fast import synth
from mia.core.base_types import TradeBlock
from mia.data.synthetic import arrivals, books, clock, conditions, exact, faults, intraday, patterns
from mia.data.synthetic.books import BookBlock
from mia.data.synthetic.clock import SECOND_NS, SyntheticSession
from mia.data.synthetic.conditions import Stream
from mia.data.synthetic.faults import FaultPlan, RawColumns
from mia.data.synthetic.patterns import PatternPlan
from mia.errors import UsageError

REFERENCE_TRADES = 325_000
"""Trades of the day that the variance per trade belongs to."""

ZONE = 0.005
"""Half width of the uncertainty zone, ticks."""

STICKY = 0.98
"""Share of quote moves that wait until the trade price must move too."""

CONTRARY = 0.012
"""Share of trades on the other side than the efficient price calls for."""

WIDE = 0.5
CLOSE_GAP = 0.3
"""Chance that a quote move leaves the spread two ticks wide, and that a trade closes it."""

THIN = 0.00015
"""Chance that a trade finds its side of the book empty."""

GAP_TICKS = 6.0
WEEKEND_GAP_TICKS = 20.0
"""Standard deviation of the step between two sessions on the reference day."""

ROLL_TICKS = 60
"""What the next contract is dearer at the roll."""

SWEEP_TRADES = 60.0
FILL_CHANCE = 0.378
"""Chance that two contracts of one trade come from different resting orders."""


@dataclass(frozen=True, slots=True)
class Tape:
    """One generated session: trades, efficient price, patterns, and factor of the book's sizes."""

    session: SyntheticSession
    block: TradeBlock
    latent: NDArray[np.float64]
    truth: NDArray[np.void]
    depth: float


class SyntheticMarket:
    """E-mini trades that look like the market's, reproducible to the bit.

    Parameters
    ----------
    seed : int
        Not negative. Same arguments, same bytes, on every platform.
    start : date or int
        First trade date; yyyymmdd if an integer. Sessions are those of the exchange's calendar
        from it on.
    days : int
        Number of sessions.
    null : bool
        Plant nothing: the efficient price is then a martingale, and no strategy has an edge
        beyond the bounce between bid and ask.
    faults : FaultPlan, optional
        What `raw` damages; `blocks` is always clean.
    planted : PatternPlan, optional
        Patterns to plant; by default about two a day, at half strength.
    first_price : int
        Price before the first trade, ticks. Volatility is in proportion to price.
    trades_per_day : int
        Mean number of aggressor orders ("summary" trades) in a full session. With fewer, each
        moves the price more, so that a day's range stays the same.
    steady : bool
        Give every day the activity and volatility of the reference day.
    root : str
        First letters of the contract's name.

    Raises
    ------
    UsageError
        If an argument is out of range.
    DataError
        If the exchange's calendar does not cover the sessions.
    """

    def __init__(
        self,
        seed: int,
        start: date | int,
        days: int,
        *,
        null: bool = False,
        faults: FaultPlan | None = None,
        planted: PatternPlan | None = None,
        first_price: int = 18_000,
        trades_per_day: int = REFERENCE_TRADES,
        steady: bool = False,
        root: str = "ES",
    ) -> None:
        if seed < 0:
            raise UsageError(f"seed must not be negative, was {seed}")
        if not 100 <= trades_per_day <= 5_000_000:
            raise UsageError(f"trades_per_day must be 100 to 5000000, was {trades_per_day}")
        if not 1_000 <= first_price <= 400_000:
            raise UsageError(f"first_price must be 1000 to 400000 ticks, was {first_price}")
        self.seed = seed
        self.plan = patterns.NO_PATTERNS if null else planted or PatternPlan()
        self.first_price = first_price
        self.trades_per_day = trades_per_day
        self._fault_plan = faults
        self._sessions = clock.sessions(start, days, root)
        ones = np.ones(days)
        self._factors = (
            conditions.DayFactors(ones, ones) if steady else conditions.day_factors(seed, days)
        )
        self._opens = [float(first_price)]
        self._truths: list[NDArray[np.void]] = []
        self._fault_truths: list[NDArray[np.void]] = []
        self._last: Tape | None = None

    def sessions(self) -> tuple[SyntheticSession, ...]:
        """Return the sessions in order."""
        return self._sessions

    def blocks(self) -> Iterator[TradeBlock]:
        """Yield one block of summary trades for each session."""
        for tape in self.tapes():
            yield tape.block

    def books(self) -> Iterator[BookBlock]:
        """Yield the book at each full second of each session."""
        for tape in self.tapes():
            rng = exact.generator(self.seed, tape.session.ordinal, Stream.BOOK)
            yield books.book_at_seconds(tape.session, tape.block, tape.latent, tape.depth, rng)

    def raw(self) -> Iterator[RawColumns]:
        """Yield each session as a vendor's file would have it, damaged by the plan of faults.

        A contract roll within a session starts a new piece.
        """
        for tape in self.tapes():
            ordinal = tape.session.ordinal
            rng = exact.generator(self.seed, ordinal, Stream.FAULTS)
            pieces, truth = faults.inject(tape.block, self._fault_plan or FaultPlan(), rng)
            if len(self._fault_truths) == ordinal:
                self._fault_truths.append(truth)
            yield from pieces

    @property
    def truth(self) -> NDArray[np.void]:
        """Every planted pattern as `patterns.TRUTH_DTYPE`, by time; generates what is missing."""
        for ordinal in range(len(self._truths), len(self._sessions)):
            self.tape(ordinal)
        return np.concatenate([np.empty(0, patterns.TRUTH_DTYPE), *self._truths])

    @property
    def fault_truth(self) -> NDArray[np.void]:
        """Every injected fault of the sessions that `raw` has yielded, as `faults.FAULT_DTYPE`."""
        return np.concatenate([np.empty(0, faults.FAULT_DTYPE), *self._fault_truths])

    def fills(self, block: TradeBlock) -> tuple[TradeBlock, NDArray[np.int64]]:
        """Split a block of summary trades into the fills that a per-fill feed reports.

        Parameters
        ----------
        block : TradeBlock
            A block of this market, whole.

        Returns
        -------
        fills : TradeBlock
            One row for each resting order hit, kind ``fill``; sizes add up to those of `block`.
        trade : ndarray of int64, shape (len(fills),)
            Row of `block` that each fill belongs to, ascending.

        Raises
        ------
        UsageError
            If no session of this market has the block's times.
        """
        rng = exact.generator(self.seed, self._session_of(block).ordinal, Stream.FILLS)
        contract_of = np.repeat(np.arange(len(block)), block.size)
        first = np.empty(len(contract_of), bool)
        first[:1] = True
        first[1:] = contract_of[1:] != contract_of[:-1]
        starts = np.flatnonzero(first | (rng.random(len(first)) < FILL_CHANCE))
        trade = contract_of[starts].astype(np.int64)
        sizes = np.diff(np.append(starts, len(first))).astype(np.int32)
        return (
            TradeBlock(
                block.contract,
                block.ts_event[trade],
                block.price[trade],
                sizes,
                block.aggressor_side[trade],
                block.bid_price[trade],
                block.ask_price[trade],
                "fill",
            ),
            trade,
        )

    def tapes(self) -> Iterator[Tape]:
        """Yield each session with its hidden state."""
        for ordinal in range(len(self._sessions)):
            yield self.tape(ordinal)

    def tape(self, ordinal: int) -> Tape:
        """Return the session at position `ordinal`; those before it are generated as needed."""
        while len(self._opens) <= ordinal:
            self._generate(len(self._opens) - 1)
        if self._last is None or self._last.session.ordinal != ordinal:
            self._last = self._generate(ordinal)
        return self._last

    def _session_of(self, block: TradeBlock) -> SyntheticSession:
        if len(block):
            for session in self._sessions:
                if session.t_open <= block.ts_event[0] < session.t_close:
                    return session
        raise UsageError("the block is not of this market: pass one that its blocks() yielded")

    def _opening(self, session: SyntheticSession, last: float, variance: float) -> float:
        """Return the efficient price before the first trade of the session after another."""
        previous = self._sessions[session.ordinal - 1]
        u = exact.generator(self.seed, session.ordinal, Stream.GAP).random(1)
        pause = session.t_open - previous.t_close
        sd = GAP_TICKS if pause < 86_400 * SECOND_NS else WEEKEND_GAP_TICKS
        scale = sqrt(variance) * last / self.first_price
        step = sd * scale * float(exact.normal(u)[0])
        roll = ROLL_TICKS if session.contract != previous.contract else 0
        return float(last + step + roll)

    def _generate(self, ordinal: int) -> Tape:
        session = self._sessions[ordinal]
        streams = {
            name: exact.generator(self.seed, ordinal, number)
            for name, number in vars(Stream).items()
            if name.isupper()
        }
        opening = self._opens[ordinal]
        factor = float(self._factors.variance[ordinal])
        relative = opening / self.first_price
        variance = factor * relative * relative * REFERENCE_TRADES / self.trades_per_day

        news = conditions.draw_news(session, streams["NEWS"])
        trades = self.trades_per_day * float(self._factors.volume[ordinal])
        expected = conditions.boosted(
            arrivals.minute_counts(session, trades)
            * arrivals.activity(session, streams["ACTIVITY"]),
            news,
        )
        ts = arrivals.arrival_times(session, expected, streams["ARRIVALS"])
        slot = (ts - session.t_open) // (intraday.SLOT_S * SECOND_NS)
        u = streams["SIZES"].random((len(ts), 2))
        size = intraday.draw_sizes(u[:, 0], u[:, 1], intraday.TILT[slot])
        step = conditions.price_steps(session, ts, size, variance, self.seed)
        quote = streams["QUOTE"].random((len(ts), 2))

        planted = patterns.directives(session, self.plan, streams["PATTERNS"])
        ts, columns = patterns.add_bursts(
            planted, streams["PATTERNS"], SWEEP_TRADES, ts, (step, size, quote)
        )
        step, size, quote = columns
        jump = conditions.price_jumps(session, ts, news, factor * relative * relative)

        n = len(ts)
        side = np.empty(n, np.int8)
        price, bid, ask = (np.empty(n, np.int32) for _ in range(3))
        latent = np.empty(n)
        synth.touch(
            ts,
            size,
            step,
            jump,
            np.ascontiguousarray(quote[:, 0]),
            np.ascontiguousarray(quote[:, 1]),
            opening,
            ZONE,
            STICKY,
            CONTRARY,
            WIDE,
            CLOSE_GAP,
            THIN,
            patterns.LEVEL_SPACING,
            planted if len(planted) else None,
            side,
            price,
            bid,
            ask,
            latent,
        )
        truth = patterns.truth(session, self.plan, planted)
        if len(self._truths) == ordinal:
            self._truths.append(truth)
        if len(self._opens) == ordinal + 1 and ordinal + 1 < len(self._sessions):
            last = float(latent[-1]) if n else opening
            following = self._sessions[ordinal + 1]
            self._opens.append(self._opening(following, last, factor))
        block = TradeBlock(session.contract, ts, price, size, side, bid, ask)
        depth = float(exact.exp(-0.35 * exact.ln(factor)))
        return Tape(session, block, latent, truth, depth)
