"""Black's formula over arrays in numpy: the plain counterpart of `mia._fast.black`.

Everything is written in forward space with the total volatility ``s = sigma * sqrt(T)``:
``d1 = ln(F / K) / s + s / 2``, ``d2 = d1 - s``, discount factor ``D`` and ``Dq = D * F / S``.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

INV_SQRT_2PI = 0.3989422804014326779
SQRT_2PI = 2.506628274631000502
SQRT_HALF = 0.7071067811865475244
INV_SQRT_PI = 0.5641895835477562869
DAMP = 2e-4
"""Relative step after which the next, of fourth order, would change nothing."""
MAX_STEPS = 64

# Rational Chebyshev approximations of Cody (1969), Mathematics of Computation 23, 631-638.
_NEAR_A: tuple[float, ...] = (1.85777706184603153e-1, 3.1611237438705656, 1.13864154151050156e2)
_NEAR_A += (3.77485237685302021e2, 3.20937758913846947e3)
_NEAR_B: tuple[float, ...] = (1.0, 2.36012909523441209e1, 2.44024637934444173e2)
_NEAR_B += (1.28261652607737228e3, 2.84423683343917062e3)
_MID_C: tuple[float, ...] = (2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594)
_MID_C += (6.61191906371416295e1, 2.98635138197400131e2, 8.8195222124176909e2)
_MID_C += (1.71204761263407058e3, 2.05107837782607147e3, 1.23033935479799725e3)
_MID_D: tuple[float, ...] = (
    1.0,
    1.57449261107098347e1,
    1.17693950891312499e2,
    5.37181101862009858e2,
)
_MID_D += (1.62138957456669019e3, 3.29079923573345963e3, 4.36261909014324716e3)
_MID_D += (3.43936767414372164e3, 1.23033935480374942e3)
_FAR_P: tuple[float, ...] = (1.63153871373020978e-2, 3.05326634961232344e-1, 3.60344899949804439e-1)
_FAR_P += (1.25781726111229246e-1, 1.60837851487422766e-2, 6.58749161529837803e-4)
_FAR_Q: tuple[float, ...] = (1.0, 2.56852019228982242, 1.87295284992346047, 5.27905102951428412e-1)
_FAR_Q += (6.05183413124413191e-2, 2.33520497626869185e-3)


def _horner(coefficients: tuple[float, ...], x: Floats) -> Floats:
    total = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        total = total * x + coefficient
    return total


def erfcx(x: Floats) -> Floats:
    """Return ``exp(x**2) * erfc(x)``, relative error about 1e-15; inf below -26.6."""
    y = np.abs(x)
    out = np.full_like(y, np.nan)
    near = y <= 0.46875
    far = y > 4.0
    mid = ~near & (y <= 4.0)
    z = x[near]
    square = z * z
    out[near] = np.exp(square) * (1.0 - z * _horner(_NEAR_A, square) / _horner(_NEAR_B, square))
    z = y[mid]
    out[mid] = _horner(_MID_C, z) / _horner(_MID_D, z)
    z = y[far]
    square = 1.0 / (z * z)
    tail = square * _horner(_FAR_P, square) / _horner(_FAR_Q, square)
    out[far] = (INV_SQRT_PI - tail) / z
    mirrored = (x < 0.0) & ~near
    z = x[mirrored]
    with np.errstate(over="ignore"):
        out[mirrored] = 2.0 * np.exp(z * z) - out[mirrored]
    return out


def normal_cdf(z: Floats) -> Floats:
    """Return the standard normal distribution function at each `z`."""
    tail = 0.5 * np.exp(-0.5 * z * z) * erfcx(np.abs(z) * SQRT_HALF)
    return np.where(z > 0.0, 1.0 - tail, tail)


def prices(
    forward: Floats, strike: Floats, right: NDArray[np.int8], discount: Floats, total_vol: Floats
) -> Floats:
    """Return Black's price of each option, index points; nan for a total vol not above 0."""
    s = np.where(total_vol > 0.0, total_vol, np.nan)
    d1 = np.log(forward / strike) / s + 0.5 * s
    upper, lower = normal_cdf(right * d1), normal_cdf(right * (d1 - s))
    return discount * right * (forward * upper - strike * lower)


def _first_guess(x: Floats, beta: Floats) -> Floats:
    # Corrado and Miller (1996) where their root is real; elsewhere the tail
    # b ~ phi(x / s) * s / (1 + (x / s)**2), solved for s in two sweeps and kept left of the
    # inflection sqrt(-2 * x).
    above = 2.0 * np.sinh(0.5 * x)
    centre = beta - 0.5 * above
    root = centre * centre - above * above / np.pi
    near = np.sqrt(0.5 * np.pi) * (centre + np.sqrt(np.maximum(root, 0.0)))
    log_beta = np.log(beta)
    inflection = np.sqrt(-2.0 * x)
    s = np.minimum(-x / np.sqrt(np.maximum(-2.0 * log_beta, 1e-3)), inflection)
    for _ in range(2):
        h2 = (x / s) ** 2
        level = log_beta + np.log(SQRT_2PI * (1.0 + h2) / s) + 0.125 * s * s
        s = np.minimum(-x / np.sqrt(np.maximum(-2.0 * level, 1e-3)), inflection)
    return np.where((root > 0.0) & (near > 0.0), near, s)


@np.errstate(all="ignore")
def total_vols(
    forward: Floats,
    strike: Floats,
    right: NDArray[np.int8],
    price: Floats,
    discount: Floats,
    out: Floats,
) -> None:
    """Write the total volatility that explains each price.

    Householder's third-order steps (Halley's and one derivative more) on the logarithm of the
    out-of-the-money price, or of its distance from the upper bound where that is smaller, kept
    inside a bracket.

    Parameters
    ----------
    forward, strike, price, discount : ndarray of float64, shape (n,)
        Index points; discount factors.
    right : ndarray of int8, shape (n,)
        +1 call, -1 put.
    out : ndarray of float64, shape (n,)
        ``sigma * sqrt(T)``; nan where the price is at or below intrinsic value, at or above its
        upper bound, or an argument is nan.
    """
    out[:] = np.nan
    root = np.sqrt(forward * strike)
    x = -np.abs(np.log(forward / strike))
    itm = np.maximum(right * (forward - strike), 0.0)
    beta = (price / discount - itm) / root
    limit = np.exp(0.5 * x)
    solvable = (beta > 0.0) & (beta < limit) & (discount > 0.0) & np.isfinite(price)
    solvable &= (forward > 0.0) & (strike > 0.0)
    solvable &= price < discount * np.where(right > 0, forward, strike)
    index = np.flatnonzero(solvable)
    x, beta, limit = x[index], beta[index], limit[index]
    s = _first_guess(x, beta)
    low, high = np.zeros_like(s), np.full_like(s, np.inf)
    for _ in range(MAX_STEPS):
        if not len(index):
            return
        step, low, high = _householder(x, beta, limit, s, low, high)
        moved = s + step
        inside = (moved > low) & (moved < high)
        middle = np.where(np.isinf(high), 2.0 * s, 0.5 * (low + high))
        # At the root rounding may point out of the bracket: a tiny step ends the search anyway.
        done = np.abs(step) <= DAMP * s
        s = np.where(inside | done, moved, middle)
        out[index[done]] = s[done]
        going = ~done
        index, x, beta, limit = index[going], x[going], beta[going], limit[going]
        s, low, high = s[going], low[going], high[going]
    out[index] = s


def _householder(
    x: Floats, beta: Floats, limit: Floats, s: Floats, low: Floats, high: Floats
) -> tuple[Floats, Floats, Floats]:
    # With h = x/s, t = s/2 the price is exp(-(h*h + t*t)/2)/2 * (erfcx(a) - erfcx(b)) and what
    # it lacks to its bound exp(-(h*h + t*t)/2)/2 * (erfcx(-a) + erfcx(b)).
    h, t = x / s, 0.5 * s
    a, b = -(h + t) * SQRT_HALF, (t - h) * SQRT_HALF
    upper = beta > 0.5 * limit
    value = 0.5 * np.where(upper, erfcx(-a) + erfcx(b), erfcx(a) - erfcx(b))
    target = np.where(upper, limit - beta, beta)
    sign = np.where(upper, -1.0, 1.0)
    gap = np.log(value / target) - 0.5 * (h * h + t * t)
    below = sign * gap < 0.0
    low, high = np.where(below, s, low), np.where(below, high, s)
    ratio = sign * SQRT_2PI * value
    newton = -gap * ratio
    slope, inverse = 1.0 / ratio, 1.0 / s
    square = h * h * inverse
    bend = square - 0.25 * s
    twist = bend * (bend - 3.0 * slope) + 2.0 * slope * slope - 3.0 * square * inverse - 0.25
    bend -= slope
    damp = 1.0 + newton * (bend + newton * twist / 6.0)
    lift = 1.0 + 0.5 * newton * bend
    usable = (lift > 0.5) & (damp > 0.5)
    step = np.where(usable, newton * lift / np.where(usable, damp, 1.0), newton)
    return step, low, high


def greeks(
    spot: float,
    forward: Floats,
    strike: Floats,
    right: NDArray[np.int8],
    discount: Floats,
    total_vol: Floats,
    years: Floats,
    price: Floats,
    delta: Floats,
    gamma: Floats,
    vega: Floats,
    vanna: Floats,
    charm: Floats,
) -> None:
    """Write price and greeks of each option; nan where an argument is nan or not positive.

    Parameters
    ----------
    spot : float
        Index level that goes with the forwards, points.
    forward, strike, discount, total_vol, years : ndarray of float64, shape (n,)
    right : ndarray of int8, shape (n,)
        +1 call, -1 put.
    price, delta, gamma, vega, vanna, charm : ndarray of float64, shape (n,)
        Written: points; per point of spot; per point squared; points per 1.00 of volatility;
        d delta / d sigma per 1.00 of volatility; d delta / d t per year with the calendar
        running forward.
    """
    valid = (total_vol > 0.0) & (years > 0.0) & (forward > 0.0) & (strike > 0.0)
    s = np.where(valid & (discount > 0.0) & (spot > 0.0), total_vol, np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        root_years = np.sqrt(years)
        carry = np.log(forward / spot) / years
        yield_ = -np.log(discount) / years - carry
        d1 = np.log(forward / strike) / s + 0.5 * s
        d2 = d1 - s
        density = INV_SQRT_2PI * np.exp(-0.5 * d1 * d1)
        dq = discount * forward / spot
        price[:] = (
            discount * right * (forward * normal_cdf(right * d1) - strike * normal_cdf(right * d2))
        )
        delta[:] = right * dq * normal_cdf(right * d1)
        gamma[:] = dq * density / (spot * s)
        vega[:] = discount * forward * density * root_years
        vanna[:] = -dq * density * d2 * root_years / s
        charm[:] = yield_ * delta - dq * density * (carry * years - 0.5 * d2 * s) / (years * s)


def gamma_profile(
    levels: Floats,
    ratio: Floats,
    discount: Floats,
    strike: Floats,
    total_vol: Floats,
    weight: Floats,
    out: Floats,
) -> None:
    """Write the sum of gamma exposures at each spot level, volatilities fixed per strike.

    Parameters
    ----------
    levels : ndarray of float64, shape (m,)
        Spot, index points.
    ratio, discount, strike, total_vol, weight : ndarray of float64, shape (n,)
        F / S, discount factor, strike, total volatility and signed contracts times
        multiplier times 0.01. A contract with a nan or a total vol not above 0 counts nothing.
    out : ndarray of float64, shape (m,)
        USD per 1 % move.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        scale = weight * discount * ratio / total_vol * INV_SQRT_2PI
        shift = np.log(ratio / strike) / total_vol + 0.5 * total_vol
    used = np.isfinite(scale) & np.isfinite(shift) & (total_vol > 0.0) & (scale != 0.0)
    scale, shift, inverse = scale[used], shift[used], 1.0 / total_vol[used]
    for k, level in enumerate(levels):
        d1 = np.log(level) * inverse + shift
        out[k] = level * np.dot(scale, np.exp(-0.5 * d1 * d1))
