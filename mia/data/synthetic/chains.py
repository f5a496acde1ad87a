"""Synthetic SPX chains with a known call wall, put wall and gamma flip, beside any ES price.

Volatilities follow a given smile, quotes obey put-call parity up to their tick, and open
interest is drawn from the seed, then scaled so that dealers' naive gamma (long calls, short
puts) changes its sign at the planted level when the session opens.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mia.core.chain import Chain, ChainMeta
from mia.data.chains import option_clock
from mia.data.synthetic import exact
from mia.data.synthetic.chain_listing import listed_series, listed_strikes
from mia.data.synthetic.option_surface import (
    Array,
    QuadraticSmile,
    Smile,
    black_prices,
    spot_gamma,
)
from mia.errors import UsageError

SOURCE = "synthetic"
STREAM = 77
YEAR_NS = 365 * 86_400 * option_clock.SECOND
WALL_HORIZON_NS = 45 * 86_400 * option_clock.SECOND
RTH_OPEN = 9 * 60 + 30
LAST_LOOK = 15 * 60 + 45
CLEARANCE = 0.25
"""Walls lie at least this many expected moves from the spot."""
SCENARIO_MOVES = (-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5)
"""Moves of the spot, in expected moves of a day, under which the planted walls must hold."""


@dataclass(frozen=True, slots=True)
class ChainPlan:
    """How chains look and what is hidden in them.

    Attributes
    ----------
    rate, dividend : float
        Continuous, a year.
    smile : Smile
    call_wall, put_wall, flip : float
        Where to plant, in expected moves of a day from the spot at 09:30; the walls go to the
        nearest multiple of 25 points, or of `strike_step` if that is more.
    wall_factor : float
        Net gamma of a wall over that of any other strike.
    open_interest : float
        Contracts at the busiest strike of the next month before walls.
    strike_step : int
        Points between the strikes near the spot.
    tick_quotes : bool
        Round quotes to ticks; if not, mid prices are exactly those of the smile.
    """

    rate: float = 0.045
    dividend: float = 0.014
    smile: Smile = field(default_factory=QuadraticSmile)
    call_wall: float = 2.0
    put_wall: float = -2.5
    flip: float = -0.6
    wall_factor: float = 2.0
    open_interest: float = 8000.0
    strike_step: int = 5
    tick_quotes: bool = True

    def __post_init__(self) -> None:
        """Refuse plans that cannot hold."""
        if not self.put_wall < self.flip < self.call_wall:
            raise UsageError("the planted flip must lie between put wall and call wall")
        if self.wall_factor <= 1.0:
            raise UsageError(f"wall_factor must be above 1, was {self.wall_factor}")


@dataclass(frozen=True, slots=True)
class ChainTruth:
    """What is hidden in a chain.

    Attributes
    ----------
    ts : int
        ns UTC.
    spot : float
    call_wall, put_wall : float
        Strikes that were planted; nan while the spot is beyond one or within a quarter of an
        expected move of it, where no wall is looked for.
    flip : float
        Level nearest to the spot at which naive gamma is zero, nan if there is none.
    gex_usd_per_pct : float
        Naive gamma exposure at the spot.
    """

    ts: int
    spot: float
    call_wall: float
    put_wall: float
    flip: float
    gex_usd_per_pct: float


@dataclass(frozen=True, slots=True)
class _Book:
    """Contracts and open interest of one session."""

    columns: Mapping[str, NDArray[Any]]
    open_interest: Array
    call_wall: float
    put_wall: float


class SyntheticChains:
    """Chains by time, reproducible from the seed.

    Parameters
    ----------
    spot_at : callable
        From a time (ns UTC) to the level of SPX; see `chain_archive.spot_of_market`.
    seed : int
        Not negative.
    plan : ChainPlan, optional
    """

    def __init__(
        self, spot_at: Callable[[int], float], seed: int, plan: ChainPlan | None = None
    ) -> None:
        if seed < 0:
            raise UsageError(f"seed must not be negative, was {seed}")
        self.plan = plan or ChainPlan()
        self._spot_at = spot_at
        self._seed = seed
        self._book: tuple[int, _Book] | None = None

    def expected_move(self, spot: float) -> float:
        """Return the expected move of a day in points, from the smile at seven days."""
        zero, week = np.zeros(1), np.full(1, 7.0 / 365.0)
        return float(spot * self.plan.smile(zero, week)[0] * (1.0 / 252.0) ** 0.5)

    def chain(self, at: int, *, received_at: int | None = None, delayed_s: int = 0) -> Chain:
        """Return the chain quoted at a time.

        Parameters
        ----------
        at : int
            Exchange time of the quotes, ns UTC, on a cash day.
        received_at : int, optional
            By default after the delay.
        delayed_s : int
        """
        session, book = self._session(at)
        spot = self._spot_at(at)
        columns, held, market = self._alive(book, at, spot)
        mid = black_prices(
            market["forward"],
            columns["strike"],
            columns["right"],
            market["discount"],
            market["total_vol"],
        )
        bid, ask = self._quotes(mid, np.abs(columns["strike"] - spot))
        opened = option_clock.new_york(session, RTH_OPEN)
        elapsed = min(max((at - opened) / (6.5 * 3600 * option_clock.SECOND), 0.0), 1.0)
        gamma = spot_gamma(
            spot, market["ratio"], columns["strike"], market["discount"], market["total_vol"]
        )
        unknown = np.full(len(held), np.nan)
        return Chain(
            meta=ChainMeta(
                source=SOURCE,
                underlying="SPX",
                quotes_asof=at,
                oi_session=option_clock.cash_day_before(session),
                received_at=at + delayed_s * option_clock.SECOND
                if received_at is None
                else received_at,
                index_print=round(spot, 2),
                delayed_s=delayed_s,
            ),
            bid=bid,
            ask=ask,
            open_interest=held,
            volume=np.floor(0.3 * elapsed * held),
            vendor_iv=market["vol"],
            vendor_delta=unknown,
            vendor_gamma=gamma,
            issues=(),
            **columns,
        )

    def truth(self, at: int) -> ChainTruth:
        """Return what the chain of a time hides."""
        _, book = self._session(at)
        spot = self._spot_at(at)
        columns, held, market = self._alive(book, at, spot)
        weight = columns["right"] * held

        def exposure(level: float) -> float:
            gamma = spot_gamma(
                level, market["ratio"], columns["strike"], market["discount"], market["total_vol"]
            )
            return float((weight * gamma).sum()) * level * level

        clearance = CLEARANCE * self.expected_move(spot)
        levels = spot * np.linspace(0.85, 1.15, 61)
        values = np.array([exposure(float(level)) for level in levels])
        flips = [
            _bisect(exposure, float(levels[k]), float(levels[k + 1]))
            for k in np.flatnonzero(np.sign(values[1:]) != np.sign(values[:-1]))
        ]
        return ChainTruth(
            ts=at,
            spot=spot,
            call_wall=book.call_wall if book.call_wall - spot >= clearance else float("nan"),
            put_wall=book.put_wall if spot - book.put_wall >= clearance else float("nan"),
            flip=min(flips, key=lambda level: abs(level - spot), default=float("nan")),
            gex_usd_per_pct=exposure(spot),
        )

    def _session(self, at: int) -> tuple[int, _Book]:
        session = option_clock.new_york_date(at)
        if self._book is None or self._book[0] != session:
            self._book = (session, self._make_book(session))
        return self._book

    def _market(
        self, columns: Mapping[str, NDArray[Any]], at: int, spot: float
    ) -> dict[str, Array]:
        years = np.maximum(columns["settle_ns"] - at, option_clock.SECOND) / YEAR_NS
        ratio = np.exp((self.plan.rate - self.plan.dividend) * years)
        forward = spot * ratio
        vol = self.plan.smile(np.log(columns["strike"] / forward), years)
        return {
            "ratio": ratio,
            "forward": forward,
            "discount": np.exp(-self.plan.rate * years),
            "vol": vol,
            "total_vol": vol * np.sqrt(years),
        }

    def _alive(
        self, book: _Book, at: int, spot: float
    ) -> tuple[dict[str, NDArray[Any]], Array, dict[str, Array]]:
        alive = book.columns["settle_ns"] > at
        columns = {name: column[alive] for name, column in book.columns.items()}
        return columns, book.open_interest[alive], self._market(columns, at, spot)

    def _make_book(self, session: int) -> _Book:
        """Draw the open interest of a session and plant walls and flip in it."""
        opened = option_clock.new_york(session, RTH_OPEN)
        spot = self._spot_at(opened)
        move = self.expected_move(spot)
        width = float(max(25, self.plan.strike_step))
        call_wall = round((spot + self.plan.call_wall * move) / width) * width
        put_wall = round((spot + self.plan.put_wall * move) / width) * width
        columns, weight = _contracts(session, spot, self.plan.strike_step)
        strike, calls = columns["strike"], columns["right"] > 0
        rng = exact.generator(self._seed, session, STREAM)
        noise = exact.exp(0.3 * exact.normal(rng.random(len(strike))))
        centre = np.where(calls, 1.02, 0.96) * spot
        spread = np.where(calls, 0.03, 0.05) * spot
        round_number = np.select(
            [strike % 100 == 0, strike % 50 == 0, strike % 25 == 0], [2.0, 1.5, 1.2], 1.0
        )
        bell = exact.exp(-0.5 * np.minimum(((strike - centre) / spread) ** 2, 60.0))
        held = self.plan.open_interest / 2.0 * weight * noise * round_number * bell

        near = (columns["settle_ns"] - opened <= WALL_HORIZON_NS) & (columns["expiry"] != session)
        flip = spot + self.plan.flip * move
        market = self._market(columns, opened, spot)
        at_flip = spot_gamma(flip, market["ratio"], strike, market["discount"], market["total_vol"])

        def balance() -> None:
            exposure = held * at_flip
            held[~calls] *= exposure[calls].sum() / exposure[~calls].sum()

        # A wall changes the flip and the scale of the puts changes a wall: both settle quickly.
        for _ in range(6):
            balance()
            for wall, side in ((call_wall, 1), (put_wall, -1)):
                here = near & (strike == wall) & (columns["right"] == side)
                held[here] *= self._needed(columns, held, session, spot, (wall, side), here)
        balance()
        return _Book(columns, np.rint(held), call_wall, put_wall)

    def _needed(
        self,
        columns: Mapping[str, NDArray[Any]],
        held: Array,
        session: int,
        spot: float,
        planted: tuple[float, int],
        here: NDArray[np.bool_],
    ) -> float:
        """Return the factor of the wall's own open interest that makes it stand out all day."""
        wall, side = planted
        move = self.expected_move(spot)
        opened = option_clock.new_york(session, RTH_OPEN)
        factor = 1.0
        for at in (opened, option_clock.new_york(session, LAST_LOOK)):
            for moves in SCENARIO_MOVES:
                level = spot + moves * move
                if side * (wall - level) < CLEARANCE * move:
                    continue
                market = self._market(columns, at, level)
                gamma = spot_gamma(
                    level,
                    market["ratio"],
                    columns["strike"],
                    market["discount"],
                    market["total_vol"],
                )
                counted = (columns["settle_ns"] > at) & (
                    columns["settle_ns"] - at <= WALL_HORIZON_NS
                )
                net = np.where(counted, side * columns["right"] * held * gamma, 0.0)
                strikes, at_strike = np.unique(columns["strike"], return_inverse=True)
                by_strike = np.bincount(at_strike, net)
                beyond = (side * (strikes - level) >= CLEARANCE * move) & (strikes != wall)
                rival = max(float(by_strike[beyond].max()), 0.0)
                own = float(net[here].sum())
                rest = float(by_strike[strikes == wall][0]) - own
                factor = max(factor, (self.plan.wall_factor * rival - rest) / own)
        return factor

    def _quotes(self, mid: Array, distance: Array) -> tuple[Array, Array]:
        """Return bid and ask; wider for dear options and far from the spot."""
        half = 0.04 + 0.004 * np.sqrt(mid * 10.0) + 0.0004 * distance
        if not self.plan.tick_quotes:
            half = np.minimum(half, 0.5 * mid)
            return mid - half, mid + half
        tick = np.where(mid < 3.0, 0.05, 0.10)
        bid = np.floor((mid - half) / tick + 1e-6) * tick
        ask = np.ceil((mid + half) / tick - 1e-6) * tick
        return np.round(np.maximum(bid, 0.0), 2), np.round(ask, 2)


def _contracts(session: int, spot: float, step: int) -> tuple[dict[str, NDArray[Any]], Array]:
    series = listed_series(session)
    strikes = listed_strikes(spot, step)
    each = 2 * len(strikes)
    columns: dict[str, NDArray[Any]] = {
        "root": np.repeat(np.array([s.root for s in series], np.int8), each),
        "settle_ns": np.repeat(np.array([s.settle_ns for s in series], np.int64), each),
        "expiry": np.repeat(np.array([s.expiry for s in series], np.int32), each),
        "strike": np.tile(np.repeat(strikes, 2), len(series)),
        "right": np.tile(np.array([-1, 1], np.int8), len(strikes) * len(series)),
    }
    return columns, np.repeat(np.array([s.weight for s in series]), each)


def _bisect(value: Callable[[float], float], low: float, high: float) -> float:
    start = value(low)
    for _ in range(40):
        middle = 0.5 * (low + high)
        if (value(middle) > 0.0) == (start > 0.0):
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)
