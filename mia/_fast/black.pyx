"""Black's formula for whole chains: implied total volatility, greeks, gamma profile.

Everything is in forward space with the total volatility s = sigma * sqrt(T); h = ln(F/K)/s and
t = s/2, so that d1 = h + t and d2 = h - t. Prices are normalised, b = price / (D * sqrt(F*K)),
and written with the scaled complementary error function,

    b(h, t) = exp(-(h*h + t*t)/2) / 2 * (erfcx(-(h + t)/sqrt(2)) - erfcx((t - h)/sqrt(2))),

for the option out of the money (h <= 0), whose logarithm and its derivatives then need no
exponential that could underflow (Jaeckel 2013, "Let's Be Rational", has the same form). All
functions work on the caller's arrays without the GIL.
"""

from libc.math cimport INFINITY, NAN, exp, fabs, isfinite, log, sinh, sqrt
from libc.stdint cimport int8_t, uint64_t

import numpy as np

cdef enum:
    MAX_STEPS = 64

cdef:
    double INV_SQRT_2PI = 0.3989422804014326779
    double SQRT_2PI = 2.506628274631000502
    double SQRT_HALF = 0.7071067811865475244
    double INV_SQRT_PI = 0.5641895835477562869
    double PI = 3.1415926535897932385
    double DAMP = 2e-4          # relative step after which the next would change nothing

cdef:
    # Of exp, written out so that the compiler can evaluate several at a time.
    double LOG2_E = 1.4426950408889634074
    double LN2_HIGH = 6.93147180369123816490e-01
    double LN2_LOW = 1.90821492927058770002e-10
    double ROUNDER = 6755399441055744.0     # 1.5 * 2**52: adding it rounds to an integer
    double LEAST_EXPONENT = -700.0


cdef union Pun:
    double value
    uint64_t bits

# Rational Chebyshev approximations of Cody (1969), Mathematics of Computation 23, 631-638.


cdef inline double _erfcx_near(double x) noexcept nogil:
    # |x| <= 0.46875
    cdef double y = x * x
    cdef double p = (((1.85777706184603153e-1 * y + 3.1611237438705656) * y
                      + 1.13864154151050156e2) * y + 3.77485237685302021e2) * y \
        + 3.20937758913846947e3
    cdef double q = (((y + 2.36012909523441209e1) * y + 2.44024637934444173e2) * y
                     + 1.28261652607737228e3) * y + 2.84423683343917062e3
    return exp(y) * (1.0 - x * p / q)


cdef inline double _erfcx_mid(double y) noexcept nogil:
    # 0.46875 < y <= 4
    cdef double p = ((((((((2.15311535474403846e-8 * y + 5.64188496988670089e-1) * y
                           + 8.88314979438837594) * y + 6.61191906371416295e1) * y
                         + 2.98635138197400131e2) * y + 8.8195222124176909e2) * y
                       + 1.71204761263407058e3) * y + 2.05107837782607147e3) * y
                     + 1.23033935479799725e3)
    cdef double q = ((((((((y + 1.57449261107098347e1) * y + 1.17693950891312499e2) * y
                          + 5.37181101862009858e2) * y + 1.62138957456669019e3) * y
                        + 3.29079923573345963e3) * y + 4.36261909014324716e3) * y
                      + 3.43936767414372164e3) * y + 1.23033935480374942e3)
    return p / q


cdef inline double _erfcx_far(double y) noexcept nogil:
    # y > 4
    cdef double z = 1.0 / (y * y)
    cdef double p = ((((1.63153871373020978e-2 * z + 3.05326634961232344e-1) * z
                       + 3.60344899949804439e-1) * z + 1.25781726111229246e-1) * z
                     + 1.60837851487422766e-2) * z + 6.58749161529837803e-4
    cdef double q = ((((z + 2.56852019228982242) * z + 1.87295284992346047) * z
                      + 5.27905102951428412e-1) * z + 6.05183413124413191e-2) * z \
        + 2.33520497626869185e-3
    return (INV_SQRT_PI - z * p / q) / y


cdef double _erfcx(double x) noexcept nogil:
    # exp(x*x) * erfc(x), relative error about 1e-15; infinite below -26.6.
    cdef double y = fabs(x), value
    if y <= 0.46875:
        return _erfcx_near(x)
    value = _erfcx_mid(y) if y <= 4.0 else _erfcx_far(y)
    if x < 0.0:
        return 2.0 * exp(y * y) - value
    return value


cdef inline double _normal_cdf(double z) noexcept nogil:
    cdef double tail = 0.5 * exp(-0.5 * z * z) * _erfcx(fabs(z) * SQRT_HALF)
    return 1.0 - tail if z > 0.0 else tail


cdef inline double _exp(double x) noexcept nogil:
    # Relative error below 1e-15 for -700 <= x <= 0: x = k * ln 2 + r, Taylor's series in r, and k
    # added to the exponent of the result.
    cdef Pun rounded, result
    rounded.value = x * LOG2_E + ROUNDER
    cdef double k = rounded.value - ROUNDER
    cdef double r = (x - k * LN2_HIGH) - k * LN2_LOW
    cdef double p = 1.0 / 6227020800.0
    p = p * r + 1.0 / 479001600.0
    p = p * r + 1.0 / 39916800.0
    p = p * r + 1.0 / 3628800.0
    p = p * r + 1.0 / 362880.0
    p = p * r + 1.0 / 40320.0
    p = p * r + 1.0 / 5040.0
    p = p * r + 1.0 / 720.0
    p = p * r + 1.0 / 120.0
    p = p * r + 1.0 / 24.0
    p = p * r + 1.0 / 6.0
    p = p * r + 0.5
    p = p * r + 1.0
    result.value = p * r + 1.0
    result.bits += rounded.bits << 52
    return result.value


cdef void _add_bells(
    double scale, double inverse, double shift, const double* x, double* out, Py_ssize_t m
) noexcept nogil:
    # out[k] += scale * exp(-(x[k] * inverse + shift)**2 / 2)
    cdef double d1, exponent
    cdef Py_ssize_t k
    for k in range(m):
        d1 = x[k] * inverse + shift
        exponent = -0.5 * d1 * d1
        exponent = exponent if exponent > LEAST_EXPONENT else LEAST_EXPONENT
        out[k] += scale * _exp(exponent)


cdef double _first_guess(double x, double beta) noexcept nogil:
    # Corrado and Miller (1996) where their root is real; elsewhere the tail
    # b ~ phi(x / s) * s / (1 + (x / s)**2), solved for s in two sweeps and kept left of the
    # inflection sqrt(-2 * x).
    cdef double above = 2.0 * sinh(0.5 * x)
    cdef double centre = beta - 0.5 * above
    cdef double root = centre * centre - above * above / PI
    cdef double near, s, h2, level, inflection, log_beta
    cdef int _k
    if root > 0.0:
        near = sqrt(0.5 * PI) * (centre + sqrt(root))
        if near > 0.0:
            return near
    log_beta = log(beta)
    inflection = sqrt(-2.0 * x)
    s = min(-x / sqrt(max(-2.0 * log_beta, 1e-3)), inflection)
    for _k in range(2):
        h2 = (x / s) * (x / s)
        level = log_beta + log(SQRT_2PI * (1.0 + h2) / s) + 0.125 * s * s
        s = min(-x / sqrt(max(-2.0 * level, 1e-3)), inflection)
    return s


cdef double _solve(double x, double beta, double limit) noexcept nogil:
    # Root of ln b(s) = ln beta, or above half of the bound of ln(limit - b) = ln(limit - beta):
    # Householder's third-order steps (Halley's and one derivative more) inside a bracket,
    # bisection where they leave it.
    cdef double s = _first_guess(x, beta), low = 0.0, high = INFINITY
    cdef double target = beta, sign = 1.0
    cdef double h, t, a, b, value, gap, ratio, newton, step, moved
    cdef double slope, inverse, square, bend, twist, damp, lift
    cdef bint upper = beta > 0.5 * limit
    cdef int _k
    if upper:
        target = limit - beta
        sign = -1.0
    for _k in range(MAX_STEPS):
        h = x / s
        t = 0.5 * s
        a = -(h + t) * SQRT_HALF
        b = (t - h) * SQRT_HALF
        value = 0.5 * (_erfcx(-a) + _erfcx(b) if upper else _erfcx(a) - _erfcx(b))
        gap = log(value / target) - 0.5 * (h * h + t * t)
        if sign * gap < 0.0:
            low = s
        else:
            high = s
        ratio = sign * SQRT_2PI * value
        newton = -gap * ratio
        slope = 1.0 / ratio
        inverse = 1.0 / s
        square = h * h * inverse
        bend = square - 0.25 * s
        twist = bend * (bend - 3.0 * slope) + 2.0 * slope * slope - 3.0 * square * inverse - 0.25
        bend -= slope
        damp = 1.0 + newton * (bend + newton * twist / 6.0)
        lift = 1.0 + 0.5 * newton * bend
        step = newton * lift / damp if lift > 0.5 and damp > 0.5 else newton
        moved = s + step
        # At the root rounding may point out of the bracket: a tiny step ends the search anyway.
        if fabs(step) <= DAMP * s:
            return moved
        if low < moved < high:
            s = moved
        elif high == INFINITY:
            s *= 2.0
        else:
            s = 0.5 * (low + high)
    return s


cdef inline double _total_vol(
    double forward, double strike, int8_t right, double price, double discount
) noexcept nogil:
    cdef double itm, x, beta, limit
    if not (forward > 0.0 and strike > 0.0 and discount > 0.0 and isfinite(price)):
        return NAN
    itm = max(right * (forward - strike), 0.0)
    beta = (price / discount - itm) / sqrt(forward * strike)
    x = -fabs(log(forward / strike))
    limit = exp(0.5 * x)
    if not 0.0 < beta < limit or price >= discount * (forward if right > 0 else strike):
        return NAN
    return _solve(x, beta, limit)


cdef int _check_lengths(str names, tuple lengths) except -1:
    if len(set(lengths)) > 1:
        raise ValueError(f"{names} must be equally long, were {lengths}")
    return 0


def total_vols(
    const double[::1] forward not None,
    const double[::1] strike not None,
    const int8_t[::1] right not None,
    const double[::1] price not None,
    const double[::1] discount not None,
    double[::1] out not None,
):
    """Write the total volatility that explains each price.

    Parameters
    ----------
    forward, strike, price, discount : ndarray of float64, shape (n,)
        Index points; discount factors.
    right : ndarray of int8, shape (n,)
        +1 call, -1 put.
    out : ndarray of float64, shape (n,)
        ``sigma * sqrt(T)``, exact to about 1e-15 where the price determines it; nan where the
        price is at or below intrinsic value, at or above its upper bound, or an argument is nan.

    Raises
    ------
    ValueError
        If the arrays differ in length.
    """
    cdef Py_ssize_t n = out.shape[0], i
    _check_lengths("forward, strike, right, price, discount, out", (
        forward.shape[0], strike.shape[0], right.shape[0],
        price.shape[0], discount.shape[0], n,
    ))
    with nogil:
        for i in range(n):
            out[i] = _total_vol(forward[i], strike[i], right[i], price[i], discount[i])


def greeks(
    double spot,
    const double[::1] forward not None,
    const double[::1] strike not None,
    const int8_t[::1] right not None,
    const double[::1] discount not None,
    const double[::1] total_vol not None,
    const double[::1] years not None,
    double[::1] price not None,
    double[::1] delta not None,
    double[::1] gamma not None,
    double[::1] vega not None,
    double[::1] vanna not None,
    double[::1] charm not None,
):
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

    Raises
    ------
    ValueError
        If the arrays differ in length.
    """
    cdef Py_ssize_t n = strike.shape[0], i
    cdef double s, root, carry, dividend, d1, d2, density, dq, upper, lower, w
    _check_lengths(
        "forward, strike, right, discount, total_vol, years, price, delta, gamma, vega, vanna, "
        "charm",
        (
            forward.shape[0], n, right.shape[0], discount.shape[0],
            total_vol.shape[0], years.shape[0], price.shape[0], delta.shape[0],
            gamma.shape[0], vega.shape[0], vanna.shape[0], charm.shape[0],
        ),
    )
    with nogil:
        for i in range(n):
            s = total_vol[i]
            if not (
                s > 0.0 and years[i] > 0.0 and forward[i] > 0.0 and strike[i] > 0.0
                and discount[i] > 0.0 and spot > 0.0
            ):
                price[i] = delta[i] = gamma[i] = vega[i] = vanna[i] = charm[i] = NAN
                continue
            w = right[i]
            root = sqrt(years[i])
            carry = log(forward[i] / spot) / years[i]
            dividend = -log(discount[i]) / years[i] - carry
            d1 = log(forward[i] / strike[i]) / s + 0.5 * s
            d2 = d1 - s
            density = INV_SQRT_2PI * exp(-0.5 * d1 * d1)
            dq = discount[i] * forward[i] / spot
            upper = _normal_cdf(w * d1)
            lower = _normal_cdf(w * d2)
            price[i] = discount[i] * w * (forward[i] * upper - strike[i] * lower)
            delta[i] = w * dq * upper
            gamma[i] = dq * density / (spot * s)
            vega[i] = discount[i] * forward[i] * density * root
            vanna[i] = -dq * density * d2 * root / s
            charm[i] = dividend * delta[i] - dq * density * (
                carry * years[i] - 0.5 * d2 * s
            ) / (years[i] * s)


def gamma_profile(
    const double[::1] levels not None,
    const double[::1] ratio not None,
    const double[::1] discount not None,
    const double[::1] strike not None,
    const double[::1] total_vol not None,
    const double[::1] weight not None,
    double[::1] out not None,
):
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

    Raises
    ------
    ValueError
        If the arrays differ in length.
    """
    cdef Py_ssize_t n = weight.shape[0], m = levels.shape[0], i, k
    cdef double s, scale, shift, inverse
    cdef const double[::1] log_level = np.log(levels)
    _check_lengths("ratio, discount, strike, total_vol, weight", (
        ratio.shape[0], discount.shape[0], strike.shape[0], total_vol.shape[0], n,
    ))
    _check_lengths("levels, out", (m, out.shape[0]))
    if m == 0:
        return
    with nogil:
        for k in range(m):
            out[k] = 0.0
        for i in range(n):
            s = total_vol[i]
            if not s > 0.0:
                continue
            inverse = 1.0 / s
            scale = weight[i] * discount[i] * ratio[i] * inverse * INV_SQRT_2PI
            shift = log(ratio[i] / strike[i]) * inverse + 0.5 * s
            if scale == 0.0 or not isfinite(scale) or not isfinite(shift):
                continue
            _add_bells(scale, inverse, shift, &log_level[0], &out[0], m)
        for k in range(m):
            out[k] *= levels[k]
