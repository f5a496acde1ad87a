"""The touch of the synthetic market: side, price and quote of each trade, one pass over a session.

An efficient price X walks in trade time. The quote follows it with hysteresis, and X relative
to the middle of the quote says who trades: above by more than `zone` a buyer at the ask, below
by more than `zone` a seller at the bid, in between the same side as before. The traded price is
therefore that of the model with uncertainty zones (Robert and Rosenbaum 2011): the share of
price moves that reverse the one before is 1 / (1 + 2 zone), and it knows no more about the
future of X than where in the spread X is.
"""

import numpy as np

from libc.math cimport fabs, floor, sqrt
from libc.stdint cimport int8_t, int32_t, int64_t


cdef enum:
    TRIGGER_AT_ONCE = 0
    TRIGGER_EXTREME = 1         # near the session's low (side +1) or high (side -1)
    TRIGGER_VWAP = 2            # far below (side +1) or above (side -1) the VWAP
    TRIGGER_LEVEL = 3           # just above (side +1) or below (side -1) a round level


cdef struct Directive:          # one planted pattern; see mia.data.synthetic.patterns
    int64_t trigger
    int64_t side                # direction of the move that the pattern announces
    int64_t t_armed             # ns UTC
    int64_t t_expires
    int64_t build_ns            # first phase
    int64_t follow_ns           # second phase
    int64_t kind                # not read here
    double reach                # ticks, or standard deviations for TRIGGER_VWAP
    double build_drift          # ticks along `side` over the first phase
    double build_flow           # in [-1, 1]: sign of forced trades along `side`, share of them
    double build_size           # factor of trade sizes
    double pin                  # >= 0: X stays within this many ticks beyond its start; else off
    double follow_drift         # ticks along `side`; of TRIGGER_VWAP a share of the distance
    double follow_flow
    int64_t t_start             # out: ns UTC, 0 if it never triggered
    int64_t t_end               # out
    int64_t level               # out: ticks


cdef Directive _directive
cdef const Directive[::1] _directives = <Directive[:1]> &_directive
DIRECTIVE_DTYPE = np.asarray(_directives).dtype


def touch(
    const int64_t[::1] ts not None,
    int32_t[::1] size not None,
    const double[::1] step not None,
    const double[::1] jump not None,
    const double[::1] choice not None,
    const double[::1] mood not None,
    double first,
    double zone,
    double sticky,
    double contrary,
    double wide,
    double close_gap,
    double thin,
    int64_t level_spacing,
    Directive[::1] directives,
    int8_t[::1] side not None,
    int32_t[::1] price not None,
    int32_t[::1] bid not None,
    int32_t[::1] ask not None,
    double[::1] latent not None,
):
    """Walk the efficient price over a session and write what each trade prints.

    Parameters
    ----------
    ts : ndarray of int64, shape (n,)
        Times, ns UTC, ascending.
    size : ndarray of int32, shape (n,)
        Contracts; patterns enlarge some in place.
    step, jump : ndarray of float64, shape (n,)
        Increment of X before each trade, in ticks, and jumps on top of it.
    choice, mood : ndarray of float64, shape (n,)
        Uniforms: when the quote follows; how wide it opens, and the flow of patterns.
    first : float
        X before the first trade, ticks.
    zone : float
        Half width of the uncertainty zone, ticks.
    sticky : float
        Share of quote moves that wait until the trade price must move too.
    contrary : float
        Share of trades on the other side than X calls for.
    wide, close_gap : float
        Chance that a quote move leaves the spread two ticks wide, and that a trade closes it; a
        trade on the missing side does so nine times in ten.
    thin : float
        Chance that a trade finds its side of the book empty and prints three ticks further.
    level_spacing : int
        Distance of round levels, ticks.
    directives : ndarray of DIRECTIVE_DTYPE, shape (m,)
        Patterns by the time they are armed; one acts at a time, the earliest first whose
        condition holds. Their last three fields are written.
    side, price, bid, ask, latent : ndarray, shape (n,)
        Output.

    Raises
    ------
    ValueError
        If the columns differ in length.
    """
    cdef Py_ssize_t n = ts.shape[0]
    for length in (
        size.shape[0], step.shape[0], jump.shape[0], choice.shape[0], mood.shape[0],
        side.shape[0], price.shape[0], bid.shape[0], ask.shape[0], latent.shape[0],
    ):
        if length != n:
            raise ValueError(f"columns must have {n} rows, one has {length}")
    cdef Py_ssize_t m = 0 if directives is None else directives.shape[0]
    cdef Py_ssize_t k, j, p = 0
    cdef Directive* d = NULL
    cdef bint active = False, building = False
    cdef double x = first, drift = 0.0, flow = 0.0, start = 0.0, limit, hold, patience, target
    cdef double low = first, high = first, mean, sd, dt
    cdef double volume = 0.0, pv = 0.0, p2v = 0.0, centred
    cdef int64_t quote = <int64_t> floor(first), gap = 0, moved, t_follow = 0, before
    cdef int64_t nearest
    cdef int s = 1, forced
    hold = 0.5 + zone
    patience = hold + 0.5
    with nogil:
        before = ts[0] if n > 0 else 0
        for k in range(n):
            x += step[k] + jump[k]
            if active:
                if building and ts[k] >= t_follow:
                    building = False
                    target = d.follow_drift
                    if d.trigger == TRIGGER_VWAP and volume > 0.0:
                        target = d.follow_drift * d.side * (first + pv / volume - x)
                        target = target if target > 0.0 else 0.0
                    drift = d.side * target / <double> d.follow_ns
                    flow = d.side * d.follow_flow
                if ts[k] >= d.t_end:
                    active = False
                    drift = 0.0
                    flow = 0.0
                else:
                    dt = <double> (ts[k] - before)
                    x += drift * dt
                    if building and d.pin >= 0.0:
                        limit = start - d.side * d.pin
                        if (limit - x) * d.side > 0.0:
                            x = limit
            while p < m and (directives[p].t_start != 0 or ts[k] >= directives[p].t_expires):
                p += 1
            j = p
            while not active and j < m and ts[k] >= directives[j].t_armed:
                d = &directives[j]
                j += 1
                if d.t_start != 0 or ts[k] >= d.t_expires:
                    continue
                nearest = <int64_t> floor(x / level_spacing + 0.5) * level_spacing
                if d.trigger == TRIGGER_AT_ONCE:
                    active = True
                elif d.trigger == TRIGGER_EXTREME:
                    active = (x - low if d.side > 0 else high - x) <= d.reach
                elif d.trigger == TRIGGER_LEVEL:
                    dt = (x - nearest) * d.side
                    active = dt >= 0.0 and dt <= d.reach
                elif volume > 0.0:
                    mean = pv / volume
                    sd = sqrt(p2v / volume - mean * mean) if p2v * volume > pv * pv else 0.0
                    active = sd > 0.0 and (mean - (x - first)) * d.side >= d.reach * sd
                if not active:
                    continue
                d.t_start = ts[k]
                t_follow = ts[k] + d.build_ns
                d.t_end = t_follow + d.follow_ns
                d.level = <int64_t> floor(x + 0.5)
                if d.trigger == TRIGGER_LEVEL:
                    d.level = nearest
                start = x
                building = True
                drift = d.side * d.build_drift / <double> d.build_ns if d.build_ns > 0 else 0.0
                flow = d.side * d.build_flow
            before = ts[k]

            moved = 0
            while x >= quote + 0.5 + patience:
                quote += 1
                moved = 1
            while x <= quote + 0.5 - patience:
                quote -= 1
                moved = -1
            if x > quote + 0.5 + zone:
                s = 1
            elif x < quote + 0.5 - zone:
                s = -1
            forced = -s if choice[k] >= 1.0 - contrary else s
            if moved != 0:
                patience = hold + 0.5 if choice[k] < sticky else hold
                # A new best price after a move may find the other side not yet there.
                gap = moved if mood[k] < wide else 0
            elif gap != 0 and (choice[k] < close_gap or (forced != gap and mood[k] < 0.9)):
                gap = 0
            if active and flow != 0.0 and mood[k] < fabs(flow):
                forced = 1 if flow > 0.0 else -1
            if active and building and d.build_size != 1.0:
                size[k] = <int32_t> (size[k] * d.build_size + 0.5)
            bid[k] = <int32_t> (quote - 1 if gap > 0 else quote)
            ask[k] = <int32_t> (quote + 2 if gap < 0 else quote + 1)
            if mood[k] >= 1.0 - thin:
                if forced > 0:
                    ask[k] += 3
                else:
                    bid[k] -= 3
            side[k] = <int8_t> forced
            price[k] = ask[k] if forced > 0 else bid[k]
            latent[k] = x
            if x < low:
                low = x
            if x > high:
                high = x
            centred = price[k] - first
            volume += size[k]
            pv += size[k] * centred
            p2v += size[k] * centred * centred
