"""Levels: what each is worth, the score of a price among them, and the zones they form."""

from libc.math cimport fabs
from libc.stdint cimport int64_t

import numpy as np

from mia._fast.records cimport Params, clip, dmax, dmin, ge, gt, le, pos

cdef Level _level
cdef Zone _zone
cdef const Level[::1] _levels = <Level[:1]> &_level

LEVEL_DTYPE = np.asarray(_levels).dtype
ZONE_DTYPE = np.asarray(<Zone[:1]> &_zone).dtype

LEVEL_KINDS = (
    "call_wall", "put_wall", "gamma_flip", "poc", "vah", "val", "hvn", "vwap", "vwap_sd1",
    "vwap_sd2", "prev_poc", "prev_vah", "prev_val", "session_high", "session_low",
    "overnight_high", "overnight_low", "round_25", "round_100",
)
ZONE_GRADES = ("WEAK", "MODERATE", "STRONG", "EXTREME")

cdef int[19] _FAMILY = [
    OPTIONS, OPTIONS, OPTIONS, PROFILE, PROFILE, PROFILE, PROFILE, VWAPS, VWAPS, VWAPS,
    PREVIOUS, PREVIOUS, PREVIOUS, SESSION, SESSION, OVERNIGHT, OVERNIGHT, ROUND, ROUND,
]
cdef double[19] _WEIGHT = [
    1.0, 1.0, 0.9, 0.9, 0.8, 0.8, 0.6, 0.8, 0.7, 0.6,
    0.7, 0.6, 0.6, 0.5, 0.5, 0.4, 0.4, 0.3, 0.2,
]
cdef double[19] _STRENGTH = [
    0.9, 0.9, 0.8, 0.8, 0.7, 0.7, 0.5, 0.7, 0.6, 0.5,
    0.6, 0.5, 0.5, 0.4, 0.4, 0.3, 0.3, 0.3, 0.3,
]
# Minutes after which a level has lost all that age can take; 0 marks a moving level.
cdef double[19] _MAX_AGE = [
    480.0, 480.0, 720.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0,
    1440.0, 1440.0, 1440.0, 0.0, 0.0, 1440.0, 1440.0, 0.0, 0.0,
]

cdef double ZONE_REACH = 800.0      # ticks from the close within which levels form zones


cdef void weigh(
    Level* level, int64_t kind, double price, double age, int64_t touches, double quality
) noexcept nogil:
    """Fill in a level; `age` in minutes and `touches` do not act on a level that moves."""
    cdef double w = _WEIGHT[kind] * _STRENGTH[kind]
    if _MAX_AGE[kind] > 0.0:
        w *= dmax(0.1, 1.0 - age / _MAX_AGE[kind])
        w *= dmin(2.0, 1.0 + 0.2 * <double> touches)
    else:
        touches = 0
    if _FAMILY[kind] == OPTIONS:
        w *= quality
    level.kind = kind
    level.family = _FAMILY[kind]
    level.price = price
    level.weight = _WEIGHT[kind]
    level.strength = _STRENGTH[kind]
    level.w = w
    level.touches = touches


cdef double score_price(
    const Level* levels, Py_ssize_t n_levels, double close, double atr, const Params* p,
    Scratch scratch,
) noexcept nogil:
    """Add the levels near the close, nearer ones more; at most conf.family_cap of a family."""
    cdef double radius = dmax(p.conf_radius_ticks, p.conf_radius_atr * atr)
    cdef double total = 0.0
    cdef double distance
    cdef Py_ssize_t n = 0
    cdef Py_ssize_t j, k
    cdef int64_t larger
    for k in range(n_levels):
        distance = fabs(close - levels[k].price)
        if le(distance, radius):
            scratch.order[n] = k
            scratch.terms[n] = levels[k].w * pos(1.0 - distance / radius)
            n += 1
    for j in range(n):
        larger = 0
        for k in range(n):
            if levels[scratch.order[k]].family == levels[scratch.order[j]].family:
                larger += scratch.terms[k] > scratch.terms[j] or (
                    k < j and scratch.terms[k] == scratch.terms[j]
                )
        if larger < p.conf_family_cap:
            total += scratch.terms[j]
    return dmin(1.0, total / p.conf_price_norm)


cdef Py_ssize_t build_zones(
    const Level* levels, Py_ssize_t n_levels, double close, double atr, const Params* p,
    Scratch scratch, Zone* zones,
) noexcept nogil:
    """Join neighbouring levels into zones, ascending by price; return how many there are."""
    cdef double gap = dmax(p.conf_gap_ticks, p.conf_gap_atr * atr)
    cdef Py_ssize_t n = 0
    cdef Py_ssize_t n_zones = 0
    cdef Py_ssize_t first = 0
    cdef Py_ssize_t k, at
    cdef double price
    for k in range(n_levels):
        price = levels[k].price
        if le(fabs(price - close), ZONE_REACH):
            at = n
            while at > 0 and levels[scratch.order[at - 1]].price > price:
                scratch.order[at] = scratch.order[at - 1]
                at -= 1
            scratch.order[at] = k
            n += 1
    for k in range(1, n + 1):
        if k == n or gt(
            levels[scratch.order[k]].price - levels[scratch.order[k - 1]].price, gap
        ):
            _close_zone(levels, scratch.order, first, k, p, &zones[n_zones])
            n_zones += 1
            first = k
    return n_zones


cdef void _close_zone(
    const Level* levels, const int64_t* order, Py_ssize_t first, Py_ssize_t end, const Params* p,
    Zone* zone,
) noexcept nogil:
    cdef const Level* level
    cdef const Level* other
    cdef double total = 0.0
    cdef double weights = 0.0
    cdef double moment = 0.0
    cdef int64_t counted = 0
    cdef int64_t larger
    cdef int64_t seen = 0           # one bit for each kind
    cdef int64_t kinds = 0
    cdef Py_ssize_t j, k
    for j in range(first, end):
        level = &levels[order[j]]
        larger = 0
        for k in range(first, end):
            other = &levels[order[k]]
            if other.family == level.family and k != j:
                larger += gt(other.w, level.w) or (k < j and not gt(level.w, other.w))
        if larger >= p.conf_family_cap:
            continue
        counted += 1
        total += level.w
        weights += level.weight
        moment += level.weight * level.price
        if not (seen >> level.kind) & 1:
            seen |= (<int64_t> 1) << level.kind
            kinds += 1
    zone.low = levels[order[first]].price
    zone.high = levels[order[end - 1]].price
    zone.centre = clip(moment / weights, zone.low, zone.high)
    zone.score = dmin(1.0, total / p.conf_zone_norm)
    zone.kinds = kinds
    zone.counted = counted
    zone.grade = _grade(zone.score, counted)


cdef inline int64_t _grade(double score, int64_t counted) noexcept nogil:
    if ge(score, 0.8) or counted >= 7:
        return EXTREME
    if ge(score, 0.6) or counted >= 5:
        return STRONG
    return MODERATE if ge(score, 0.4) or counted >= 3 else WEAK
