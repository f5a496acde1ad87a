"""Volatility smiles and Black's prices for synthetic chains, computed without the kernels.

The synthetic truth must not come from the code that is tested with it.
"""

from dataclasses import dataclass
from math import erfc, pi, sqrt
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Smile(Protocol):
    """Implied volatility of a strike and an expiry."""

    def __call__(self, log_moneyness: Array, years: Array) -> Array:
        """Return annual volatilities by ln(strike / forward) and years to settlement."""


@dataclass(frozen=True, slots=True)
class QuadraticSmile:
    """Quadratic in log-moneyness over one standard deviation, flat beyond `reach` of them.

    Attributes
    ----------
    short, long : float
        At-the-money volatility now and in the far future; `decay` years lie between them.
    decay : float
    skew, curvature : float
        Relative change of volatility per standard deviation, and per its square.
    reach : float
    """

    short: float = 0.13
    long: float = 0.18
    decay: float = 0.25
    skew: float = -0.09
    curvature: float = 0.012
    reach: float = 6.0

    def __call__(self, log_moneyness: Array, years: Array) -> Array:
        """Return annual volatilities; see `Smile`."""
        atm = self.long + (self.short - self.long) * np.exp(-years / self.decay)
        x = np.clip(log_moneyness / (atm * np.sqrt(years)), -self.reach, self.reach)
        return np.asarray(atm * (1.0 + self.skew * x + self.curvature * x * x))


@dataclass(frozen=True, slots=True)
class SviSmile:
    """Raw SVI of the annual variance: a + b (rho (k - m) + sqrt((k - m)^2 + sigma^2)).

    Gatheral, "A parsimonious arbitrage-free implied volatility parameterization" (2004); the
    same variance for every expiry.
    """

    a: float = 0.01
    b: float = 0.10
    rho: float = -0.6
    m: float = 0.02
    sigma: float = 0.10

    def __call__(self, log_moneyness: Array, years: Array) -> Array:
        """Return annual volatilities; see `Smile`."""
        k = log_moneyness - self.m
        variance = self.a + self.b * (self.rho * k + np.sqrt(k * k + self.sigma * self.sigma))
        return np.asarray(np.sqrt(variance))


def normal_cdf(x: Array) -> Array:
    """Return the standard normal distribution function."""
    scaled = (x * -sqrt(0.5)).tolist()
    return 0.5 * np.array([erfc(each) for each in scaled], np.float64)


def normal_pdf(x: Array) -> Array:
    """Return the standard normal density."""
    return np.asarray(np.exp(-0.5 * x * x) / sqrt(2.0 * pi))


def black_prices(
    forward: Array, strike: Array, right: NDArray[np.int8], discount: Array, total_vol: Array
) -> Array:
    """Return Black's prices; a call and a put of one strike differ by exactly the parity."""
    d1 = np.log(forward / strike) / total_vol + 0.5 * total_vol
    out = np.where(strike >= forward, 1.0, -1.0)
    otm = out * (forward * normal_cdf(out * d1) - strike * normal_cdf(out * (d1 - total_vol)))
    otm = np.maximum(otm, 0.0)
    intrinsic = np.maximum(right * (forward - strike), 0.0)
    return np.asarray(discount * (otm + intrinsic))


def spot_gamma(
    level: float, ratio: Array, strike: Array, discount: Array, total_vol: Array
) -> Array:
    """Return gammas at a level of the index, volatilities staying with their strikes.

    Parameters
    ----------
    level : float
    ratio : ndarray of float64
        Forward over spot.
    strike, discount, total_vol : ndarray of float64
    """
    d1 = np.log(level * ratio / strike) / total_vol + 0.5 * total_vol
    return np.asarray(discount * ratio * normal_pdf(d1) / (level * total_vol))
