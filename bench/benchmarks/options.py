"""Options: ratios to numpy in one process, and times of a whole chain of 18,800 contracts."""

import time
import timeit
from datetime import UTC, datetime, timedelta

import numpy as np

from mia._fast import black
from mia.core.chain import Chain, ChainMeta, Root
from mia.core.sessions import SECOND
from mia.features import option_math
from mia.features.dealer_models import NAIVE
from mia.features.option_book import option_book
from mia.features.option_forward import RateCurve, parity_forwards, parity_pairs
from mia.features.option_greeks import contract_greeks, gamma_terms
from mia.features.option_levels import find_flips, find_walls, grid
from mia.features.option_smile import fit_smile
from mia.features.options_exposure import positioning

SEED = 11
SPOT = 5120.0
EXPIRIES = 47
STRIKES = 200
CONTRACTS = EXPIRIES * STRIKES * 2
GRID = 121


def best(function, repeat=30):
    # Processor time: all of it runs on one thread, and the machine may be busy.
    return min(timeit.repeat(function, number=1, repeat=repeat, timer=time.process_time))


def chain():
    """Quote 47 expiries of 200 strikes; no two implied volatilities alike."""
    rng = np.random.default_rng(SEED)
    asof = datetime(2024, 3, 12, 15, 0, tzinfo=UTC)
    days = np.unique(np.concatenate([np.arange(1, 36), np.geomspace(40, 1800, 12).astype(int)]))
    strikes = np.linspace(3000.0, 6980.0, STRIKES)
    columns = []
    for day in days[:EXPIRIES]:
        years = day / 365
        forward = np.full(STRIKES, SPOT * np.exp(0.035 * years))
        discount = np.full(STRIKES, np.exp(-0.05 * years))
        moneyness = np.log(strikes / forward)
        sigma = 0.16 - 0.25 * moneyness / np.sqrt(1 + 5 * years) + 0.3 * moneyness**2
        sigma = np.maximum(sigma, 0.06)
        settle = int((asof + timedelta(days=int(day))).timestamp()) * SECOND
        expiry = int(f"{asof + timedelta(days=int(day)):%Y%m%d}")
        for right in (-1, 1):
            rights = np.full(STRIKES, right, dtype=np.int8)
            mid = option_math.prices(forward, strikes, rights, discount, sigma * np.sqrt(years))
            half = np.maximum(0.025, 0.01 * np.abs(mid))
            interest = rng.integers(0, 3000, STRIKES).astype(float)
            columns.append((settle, expiry, strikes, rights, mid - half, mid + half, interest))
    lengths = [STRIKES] * len(columns)
    bid = np.concatenate([column[4] for column in columns])
    nothing = np.full(len(bid), np.nan)
    return Chain(
        meta=ChainMeta("bench", "SPX", int(asof.timestamp()) * SECOND, 20240311, 0),
        root=np.full(len(bid), int(Root.SPXW), dtype=np.int8),
        settle_ns=np.repeat(np.array([column[0] for column in columns]), lengths),
        expiry=np.repeat(np.array([column[1] for column in columns], dtype=np.int32), lengths),
        strike=np.concatenate([column[2] for column in columns]),
        right=np.concatenate([column[3] for column in columns]),
        bid=np.maximum(bid, 0.0),
        ask=np.concatenate([column[5] for column in columns]),
        open_interest=np.concatenate([column[6] for column in columns]),
        volume=nothing,
        vendor_iv=nothing,
        vendor_delta=nothing,
        vendor_gamma=nothing,
    )


def options():
    """Return forward, strike, right, price, discount, total vol and years of a whole chain.

    All are out of the money and worth at least a cent, so that every one has a volatility.
    """
    rng = np.random.default_rng(SEED)
    years = rng.choice(np.array([1, 2, 3, 5, 7, 14, 30, 60, 90, 180, 365, 730]) / 365, CONTRACTS)
    s = rng.uniform(0.08, 0.4, CONTRACTS) * np.sqrt(years)
    forward = SPOT * np.exp(0.035 * years)
    strike = forward * np.exp(rng.normal(0.0, 1.2, CONTRACTS).clip(-3.0, 3.0) * s)
    right = np.where(strike >= forward, 1, -1).astype(np.int8)
    discount = np.exp(-0.05 * years)
    price = option_math.prices(forward, strike, right, discount, s)
    return forward, strike, right, price, discount, s, years


class Kernel:
    timeout = 300

    def setup(self):
        self.forward, self.strike, self.right, self.price, self.discount, s, years = options()
        self.s, self.years = s, years
        self.out = np.empty(CONTRACTS)
        self.greeks = np.empty((6, CONTRACTS))
        self.weight = np.random.default_rng(SEED).normal(0.0, 1000.0, CONTRACTS)
        self.levels = SPOT * np.linspace(0.85, 1.15, GRID)
        self.profile = np.empty(GRID)

    def _vols(self, module):
        columns = (self.forward, self.strike, self.right, self.price, self.discount)
        module.total_vols(*columns, self.out)

    def _greeks(self, module):
        columns = (self.forward, self.strike, self.right, self.discount, self.s, self.years)
        module.greeks(SPOT, *columns, *self.greeks)

    def _profile(self, module):
        columns = (self.forward / SPOT, self.discount, self.strike, self.s, self.weight)
        module.gamma_profile(self.levels, *columns, self.profile)

    def _ratio(self, run):
        return best(lambda: run(option_math), 3) / best(lambda: run(black))

    def track_speedup_of_volatilities(self):
        return self._ratio(self._vols)

    track_speedup_of_volatilities.unit = "x"

    def track_speedup_of_greeks(self):
        return self._ratio(self._greeks)

    track_speedup_of_greeks.unit = "x"

    def track_speedup_of_profile(self):
        return self._ratio(self._profile)

    track_speedup_of_profile.unit = "x"

    def track_volatilities_per_second(self):
        return CONTRACTS / best(lambda: self._vols(black))

    track_volatilities_per_second.unit = "1/s"

    def track_milliseconds_of_volatilities(self):
        return 1e3 * best(lambda: self._vols(black))

    track_milliseconds_of_volatilities.unit = "ms"


class WholeChain:
    timeout = 300

    def setup(self):
        self.chain = chain()

    def _from_forwards(self):
        book = option_book(self.chain)
        forwards = parity_forwards(book, parity_pairs(book), RateCurve.flat(0.05))

        def run():
            smile = fit_smile(book, forwards, SPOT)
            greeks = contract_greeks(book, forwards, smile, SPOT)
            signed = NAIVE.sizes(book) * NAIVE.signs(book, smile)
            terms = gamma_terms(book, forwards, smile, SPOT, signed)
            levels = grid(SPOT)
            find_flips(terms, levels, terms.at(levels))
            strikes, strike_of = np.unique(book.strike, return_inverse=True)
            net = np.bincount(strike_of, weights=np.nan_to_num(signed * greeks.gamma))
            find_walls(strikes, net, np.abs(net), SPOT, 40.0)

        return run

    def track_milliseconds_from_volatilities_to_walls(self):
        return 1e3 * best(self._from_forwards())

    track_milliseconds_from_volatilities_to_walls.unit = "ms"

    def track_milliseconds_of_positioning(self):
        return 1e3 * best(lambda: positioning(self.chain))

    track_milliseconds_of_positioning.unit = "ms"
