"""Levels of an exposure profile: where dealers' gamma changes sign, and walls of strikes."""

from dataclasses import dataclass
from math import isfinite, nan

import numpy as np
from numpy.typing import NDArray

from mia._fast import black

Floats = NDArray[np.float64]

GRID_LEVELS = 121
GRID_WIDTH = 0.15
"""The grid reaches this share of the spot to both sides."""
BISECTIONS = 3
TOLERANCE = 1e-7
MATERIAL = 1e-9
"""Share of the largest value of a profile below which its sign is noise."""
REACH = 0.25
"""A wall stands at least this many expected moves away from the spot."""
RIVAL = 1.10
"""Advantage that a strike needs to take over from the wall before it."""


@dataclass(frozen=True, slots=True)
class Flip:
    """A level at which the gamma exposure changes sign.

    Attributes
    ----------
    level : float
        SPX points.
    slope : float
        Change of the exposure, USD per 1 % move and per point; above 0 where gamma turns
        positive with a rising index.
    """

    level: float
    slope: float


@dataclass(frozen=True, slots=True)
class GammaTerms:
    """Contracts as the profile needs them, shape (n,) each.

    Attributes
    ----------
    ratio, discount, strike, total_vol : ndarray of float64
        F / S, discount factor, strike and total volatility, all finite and above 0.
    weight : ndarray of float64
        Signed contracts times multiplier times 0.01, never 0.
    """

    ratio: Floats
    discount: Floats
    strike: Floats
    total_vol: Floats
    weight: Floats

    def at(self, levels: Floats) -> Floats:
        """Return the gamma exposure at each spot level, USD per 1 % move."""
        out = np.empty(len(levels))
        black.gamma_profile(
            levels, self.ratio, self.discount, self.strike, self.total_vol, self.weight, out
        )
        return out

    def at_level(self, level: float) -> float:
        """Return the gamma exposure at one spot level, USD per 1 % move."""
        return float(self.at(np.array([level]))[0])


def grid(spot: float) -> Floats:
    """Return the levels of the profile around `spot`."""
    return spot * np.linspace(1.0 - GRID_WIDTH, 1.0 + GRID_WIDTH, GRID_LEVELS)


def find_flips(terms: GammaTerms, levels: Floats, profile: Floats) -> tuple[Flip, ...]:
    """Find every sign change of the exposure within the grid, in ascending order.

    Parameters
    ----------
    terms : GammaTerms
    levels, profile : ndarray of float64, shape (m,)
        Grid and exposure on it. A crossing and its return between two neighbours stay unseen.
    """
    scale = float(np.max(np.abs(profile), initial=0.0))
    nodes = np.flatnonzero(np.abs(profile) > MATERIAL * scale)
    signs = np.sign(profile[nodes])
    flips = []
    for k in np.flatnonzero(signs[1:] != signs[:-1]):
        left, right = nodes[k], nodes[k + 1]
        level = _root(terms, levels[left], levels[right], profile[left], profile[right])
        step = 1e-5 * level
        around = terms.at(np.array([level - step, level + step]))
        flips.append(Flip(level, float(around[1] - around[0]) / (2.0 * step)))
    return tuple(flips)


def _root(terms: GammaTerms, a: float, b: float, at_a: float, at_b: float) -> float:
    # Bisection first, then the Illinois form of regula falsi: both keep the bracket.
    side = 0
    for k in range(100):
        middle = 0.5 * (a + b) if k < BISECTIONS else (a * at_b - b * at_a) / (at_b - at_a)
        value = terms.at_level(middle)
        if value == 0.0:
            return float(middle)
        if (value < 0.0) == (at_a < 0.0):
            moved, a, at_a = middle - a, middle, value
            at_b *= 0.5 if side == -1 and k > BISECTIONS else 1.0
            side = -1
        else:
            moved, b, at_b = b - middle, middle, value
            at_a *= 0.5 if side == 1 and k > BISECTIONS else 1.0
            side = 1
        if k >= BISECTIONS and min(moved, b - a) < TOLERANCE:
            break
    return float(middle)


def nearest_flip(flips: tuple[Flip, ...], spot: float) -> float:
    """Return the level of the flip nearest to `spot`, nan without any."""
    return min((flip.level for flip in flips), key=lambda level: abs(level - spot), default=nan)


@dataclass(frozen=True, slots=True)
class Walls:
    """Strikes that stand out; nan where there is none.

    Attributes
    ----------
    call, put : float
        Most positive net gamma above the spot, most negative below it.
    second_call, second_put : float
        The runners-up.
    abs_gamma : float
        Strike with the most gamma regardless of side.
    """

    call: float
    put: float
    second_call: float
    second_put: float
    abs_gamma: float


def _wall(strikes: Floats, strength: Floats, held: float) -> tuple[float, float]:
    positive = strength > 0.0
    strikes, strength = strikes[positive], strength[positive]
    if not len(strikes):
        return nan, nan
    ranked = np.argsort(-strength, kind="stable")
    best, keep = ranked[0], np.flatnonzero(strikes == held)
    if len(keep) and strength[best] <= RIVAL * strength[keep[0]]:
        best = keep[0]
    rest = ranked[ranked != best]
    return float(strikes[best]), float(strikes[rest[0]]) if len(rest) else nan


def find_walls(
    strikes: Floats,
    net: Floats,
    gross: Floats,
    spot: float,
    expected_move: float,
    held: tuple[float, float] = (nan, nan),
) -> Walls:
    """Find the walls among the strikes of the near expiries.

    Parameters
    ----------
    strikes, net, gross : ndarray of float64, shape (n,)
        Strikes, ascending, with signed and unsigned gamma exposure.
    spot, expected_move : float
        Index points; an unknown expected move counts as 0.
    held : tuple of float
        Call and put wall so far: each stays while it is eligible and no rival beats it by 10 %.
    """
    reach = REACH * expected_move if isfinite(expected_move) else 0.0
    above, below = strikes >= spot + reach, strikes <= spot - reach
    call, second_call = _wall(strikes[above], net[above], held[0])
    put, second_put = _wall(strikes[below], -net[below], held[1])
    most = float(strikes[np.argmax(gross)]) if np.any(gross > 0.0) else nan
    return Walls(call, put, second_call, second_put, most)


def es_level(level: float, spot: float, basis: float) -> float:
    """Map an SPX level to an ES price, both in points: ``level * (S + basis) / S``."""
    return level * (spot + basis) / spot


def spx_level(price: float, spot: float, basis: float) -> float:
    """Map an ES price back to an SPX level; the inverse of `es_level`."""
    return price * spot / (spot + basis)
