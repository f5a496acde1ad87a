"""Quote and greeks of one option on SPX, as market data shows them."""

from dataclasses import dataclass
from math import isfinite, sqrt

import numpy as np
from numpy.typing import NDArray

from mia._fast import black
from mia.core.chain import Chain, Root
from mia.core.sessions import SECOND
from mia.gateway.catalogue import settlement_date
from mia.gateway.model import ApiContract

YEAR_S = 365 * 86_400
DAY_YEARS = 1 / 365
NOT_COMPUTED = -2.0
NO_VOLATILITY = -1.0


@dataclass(frozen=True, slots=True)
class Computation:
    """What message 21 carries: vega for one point of volatility, theta for one day."""

    implied_volatility: float
    delta: float
    price: float
    gamma: float
    vega: float
    theta: float

    def values(
        self, underlying: float
    ) -> tuple[float, float, float, float, float, float, float, float]:
        """Return the eight numbers in the order of the message."""
        return (
            self.implied_volatility,
            self.delta,
            self.price,
            0.0,
            self.gamma,
            self.vega,
            self.theta,
            underlying,
        )


@dataclass(frozen=True, slots=True)
class OptionQuote:
    """An option at market time; prices in points, interest and volume in contracts."""

    bid: float
    ask: float
    bid_size: int
    ask_size: int
    bid_computation: Computation
    ask_computation: Computation
    model: Computation
    underlying: float
    open_interest: int
    volume: int


def quote(
    chain: Chain, contract: ApiContract, spot: float, rate: float, dividend: float
) -> OptionQuote | None:
    """Return the quote of an option, None if the chain does not have it.

    Parameters
    ----------
    rate, dividend : float
        Continuous, a year.
    """
    root = Root[contract.trading_class]
    rows = np.flatnonzero(
        (chain.root == root)
        & (chain.expiry == settlement_date(contract))
        & (chain.strike == contract.strike)
        & (chain.right == (1 if contract.right == "C" else -1))
    )
    if not len(rows):
        return None
    row = int(rows[0])
    seconds = max(int(chain.settle_ns[row]) - chain.meta.quotes_asof, SECOND) / SECOND
    years = seconds / YEAR_S
    at = _Option(contract.strike, 1 if contract.right == "C" else -1, spot, rate, dividend)
    bid, ask = float(chain.bid[row]), float(chain.ask[row])
    volatility = float(chain.vendor_iv[row])
    size = 5 + contract.con_id % 40
    return OptionQuote(
        bid=bid,
        ask=ask,
        bid_size=size if bid > 0 else 0,
        ask_size=size + 3,
        bid_computation=at.computation(at.volatility(bid, years), years, bid),
        ask_computation=at.computation(at.volatility(ask, years), years, ask),
        model=at.computation(volatility, years, None),
        underlying=round(spot, 2),
        open_interest=int(chain.open_interest[row]),
        volume=int(chain.volume[row]),
    )


def _one(value: float) -> NDArray[np.float64]:
    return np.array([value], np.float64)


@dataclass(frozen=True, slots=True)
class _Option:
    strike: float
    right: int
    spot: float
    rate: float
    dividend: float

    def volatility(self, price: float, years: float) -> float:
        """Return the volatility that a price implies, nan if it implies none."""
        out = np.empty(1)
        black.total_vols(
            _one(self._forward(years)),
            _one(self.strike),
            np.array([self.right], np.int8),
            _one(price),
            _one(float(np.exp(-self.rate * years))),
            out,
        )
        return float(out[0]) / sqrt(years)

    def computation(self, volatility: float, years: float, price: float | None) -> Computation:
        """Return the greeks at a volatility; without a price, with the model's."""
        if not (isfinite(volatility) and volatility > 0):
            none = NOT_COMPUTED
            return Computation(NO_VOLATILITY, none, -1.0 if price is None else price, *[none] * 3)
        fair, delta, gamma, vega = self._greeks(volatility, years)
        later = max(years - DAY_YEARS, 1 / YEAR_S)
        theta = self._greeks(volatility, later)[0] - fair
        shown = fair if price is None else price
        return Computation(volatility, delta, shown, gamma, vega / 100, theta)

    def _forward(self, years: float) -> float:
        return self.spot * float(np.exp((self.rate - self.dividend) * years))

    def _greeks(self, volatility: float, years: float) -> tuple[float, float, float, float]:
        price, delta, gamma, vega, vanna, charm = (np.empty(1) for _ in range(6))
        black.greeks(
            self.spot,
            _one(self._forward(years)),
            _one(self.strike),
            np.array([self.right], np.int8),
            _one(float(np.exp(-self.rate * years))),
            _one(volatility * sqrt(years)),
            _one(years),
            price,
            delta,
            gamma,
            vega,
            vanna,
            charm,
        )
        return float(price[0]), float(delta[0]), float(gamma[0]), float(vega[0])
