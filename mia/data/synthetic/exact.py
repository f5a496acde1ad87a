"""Random variables computed with + - * / and sqrt alone, so that every machine gets the same bits.

The elementary functions of C libraries differ in the last place between platforms, and one
different bit would in time move a trade. IEEE 754 fixes the four operations, the square root,
and scaling by powers of two; numpy's raw uniform doubles are integer arithmetic.
"""

from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

LN2_HIGH = 6.93147180369123816490e-01
LN2_LOW = 1.90821492927058770002e-10

# Acklam's rational approximation of the normal quantile, relative error 1.2e-9.
CENTRE_TOP = (
    -3.969683028665376e01,
    2.209460984245205e02,
    -2.759285104469687e02,
    1.383577518672690e02,
    -3.066479806614716e01,
    2.506628277459239e00,
)
CENTRE_BOTTOM = (
    -5.447609879822406e01,
    1.615858368580409e02,
    -1.556989798598866e02,
    6.680131188771972e01,
    -1.328068155288572e01,
    1.0,
)
TAIL_TOP = (
    -7.784894002430293e-03,
    -3.223964580411365e-01,
    -2.400758277161838e00,
    -2.549732539343734e00,
    4.374664141464968e00,
    2.938163982698783e00,
)
TAIL_BOTTOM = (
    7.784695709041462e-03,
    3.224671290700398e-01,
    2.445134137142996e00,
    3.754408661907416e00,
    1.0,
)
TAIL = 0.02425


def generator(seed: int, ordinal: int, stream: int) -> np.random.Generator:
    """Return the generator of one component of one session.

    Components draw from streams of their own, so that more draws in one leave the others alone.
    """
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, ordinal, stream])))


def _horner(coefficients: tuple[float, ...], x: Array) -> Array:
    value = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        value = value * x + coefficient
    return value


def ln(x: Any) -> Array:
    """Return the natural logarithm of positive finite `x`, to about 2 ulp."""
    mantissa, exponent = np.frexp(np.asarray(x, dtype=np.float64))
    low = mantissa < 0.7071067811865476
    mantissa = np.where(low, 2.0 * mantissa, mantissa)
    exponent = exponent.astype(np.float64) - low
    s = (mantissa - 1.0) / (mantissa + 1.0)
    series = _horner(tuple(1.0 / k for k in range(23, 0, -2)), s * s)
    return np.asarray(exponent * LN2_HIGH + (2.0 * s * series + exponent * LN2_LOW))


def exp(x: Any) -> Array:
    """Return the exponential of `x` in [-700, 700], to about 2 ulp."""
    x = np.asarray(x, dtype=np.float64)
    power = np.rint(x * 1.4426950408889634)
    rest = (x - power * LN2_HIGH) - power * LN2_LOW
    value = np.ones_like(rest)
    for k in range(14, 0, -1):
        value = 1.0 + value * rest / k
    return np.asarray(np.ldexp(value, power.astype(np.int32)))


def exponential(u: Array) -> Array:
    """Return exponential variables of mean 1 from uniforms in [0, 1)."""
    return -ln(1.0 - u)


def normal(u: Array) -> Array:
    """Return standard normal variables from uniforms in [0, 1)."""
    u = np.maximum(u, 2.0**-54)
    q = u - 0.5
    r = q * q
    out = q * _horner(CENTRE_TOP, r) / _horner(CENTRE_BOTTOM, r)
    tail = np.minimum(u, 1.0 - u)
    far = tail < TAIL
    s = np.sqrt(-2.0 * ln(tail[far]))
    out[far] = np.where(q[far] < 0, 1.0, -1.0) * _horner(TAIL_TOP, s) / _horner(TAIL_BOTTOM, s)
    return out


def poisson_table(mean: float, rare: float = 0.0, rare_mean: float = 0.0) -> Array:
    """Return the distribution function of a Poisson variable, for `searchsorted`.

    ``searchsorted(table, u, side="right")`` of uniform `u` has mean `mean` (at most 200); with
    probability `rare` the mean is `rare_mean` instead.
    """
    weights = ((1.0 - rare, mean), (rare, rare_mean))
    probability = [weight * float(exp(-each)) for weight, each in weights]
    total, table = 0.0, []
    for k in range(1, 500):
        total += probability[0] + probability[1]
        table.append(total)
        if total >= 1.0 - 2.0**-40:
            break
        probability = [p * each / k for p, (_, each) in zip(probability, weights, strict=True)]
    return np.array(table)


def autoregressive(shocks: Array, persistence: float) -> Array:
    """Return the stationary AR(1) sequence of unit variance driven by standard normal `shocks`."""
    scale = sqrt(1.0 - persistence * persistence)
    out = np.empty_like(shocks)
    state = 0.0
    for k, shock in enumerate(shocks.tolist()):
        state = shock if k == 0 else persistence * state + scale * shock
        out[k] = state
    return out
