"""Options positioning at every primary close, from the newest snapshot of the chain.

A snapshot is made once (by `mia.features.options_feed`); what depends on the price or on the
clock is brought up to date here: spot from ES less the basis, distance to the flip, place between
the walls, hedging flow, quality, and the levels in ES ticks. Quality below 0.2 is missing: every
feature neutral and invalid, no levels.
"""

cimport cython
from libc.math cimport NAN, exp, fabs, isnan
from libc.stdint cimport int64_t
from libc.string cimport memset

import numpy as np

from mia._fast.hedge_flow cimport HedgeFlow
from mia._fast.records cimport clip, ge, gt, lt, sgn

cdef double YEAR_NS = 365.0 * 86400e9
cdef int64_t MINUTE_NS = 60_000_000_000
cdef int64_t PRICE_REACH_NS = 5 * MINUTE_NS     # a price farther from the quotes is not theirs
cdef int64_t VIX_AGE_NS = 5 * MINUTE_NS
cdef double MISSING = 0.2
cdef double EVENING = 0.6
cdef double MAX_SPOT_GAP = 0.0015

cdef Snapshot _record
cdef const Snapshot[::1] _records = <Snapshot[:1]> &_record

SNAPSHOT_DTYPE = np.asarray(_records).dtype


@cython.final
cdef class OptionsState:
    """Positioning of one market at each close.

    Parameters
    ----------
    params : ndarray of records.PARAMS_DTYPE, shape (1,)

    Attributes
    ----------
    has_snapshot : bool
    spot, basis : float
        S and ES less S at the newest close, index points; nan unknown.
    quality : float
        q of the newest close, in [0, 1].
    gex : float
        USD per 1 % at S, interpolated in the profile; nan outside of it.
    flow : float
        Hedging for the rest of the session over 5 % of the usual ES dollar volume, nan unknown.

    Raises
    ------
    ValueError
        If `params` is not one record of parameters.
    """

    def __cinit__(self, params):
        cdef const Params[::1] view = params
        if view.shape[0] != 1:
            raise ValueError(f"params must hold one record, held {view.shape[0]}")
        self._half_life_ns = view[0].opt_basis_half_life_s * 1e9
        self._max_error = view[0].opt_basis_max_err
        self._hedging = HedgeFlow(view[0].feat_f12_dvol)
        self.active = view[0].sources_options != 0
        self._queue = np.zeros(4, SNAPSHOT_DTYPE)
        self._ema = NAN
        self._carry = NAN
        self.spot = NAN
        self.basis = NAN
        self.gex = NAN
        self.flow = NAN

    def add(self, const Snapshot[::1] snapshots not None):
        """Queue snapshots; each acts from the first close at or after its `effective`.

        Parameters
        ----------
        snapshots : ndarray of SNAPSHOT_DTYPE, shape (n,)

        Raises
        ------
        ValueError
            If `effective` falls, in them or against what is queued.
        """
        cdef Py_ssize_t k, held = self._last - self._first, n = snapshots.shape[0]
        cdef int64_t newest = self._snapshot.effective if self.has_snapshot else 0
        if held:
            newest = self._queue[self._last - 1].effective
        for k in range(n):
            if snapshots[k].effective < newest:
                raise ValueError(
                    f"snapshots must be in the order of effect: {snapshots[k].effective} "
                    f"came after {newest}"
                )
            newest = snapshots[k].effective
        if self._last + n > self._queue.shape[0]:
            grown = np.zeros(2 * (held + n), SNAPSHOT_DTYPE)
            grown[:held] = np.asarray(self._queue)[self._first : self._last]
            self._queue = grown
            self._first = 0
            self._last = held
        for k in range(n):
            self._queue[self._last + k] = snapshots[k]
        self._last += n
        self._fed = self._fed or n > 0
        self.active = self.active or self._fed

    def set_vix(self, int64_t vix_at, double vix, int64_t vix3m_at, double vix3m):
        """Take VIX and VIX3M with their times; while fresh they decide the term feature.

        Raises
        ------
        ValueError
            If a level is not positive.
        """
        if not (vix > 0.0 and vix3m > 0.0):
            raise ValueError(f"VIX and VIX3M must be positive, were {vix} and {vix3m}")
        self._vix_at = min(vix_at, vix3m_at)
        self._vix_known = max(vix_at, vix3m_at)
        self._vix_term = np.log(vix / vix3m)
        self._fed = True
        self.active = True

    def update(
        self, const Bar[::1] bars not None, const Session[::1] session not None,
        OptionsInput[::1] out not None,
    ):
        """Refresh at the close of the last of `bars`, outside of a market state.

        Parameters
        ----------
        bars : ndarray of records.BAR_DTYPE, shape (n,)
            Bars of one session, at most 128 are read.
        session : ndarray of records.SESSION_DTYPE, shape (1,)
        out : ndarray of records.OPTIONS_DTYPE, shape (1,)
            Filled in.

        Raises
        ------
        ValueError
            If an argument is empty.
        """
        cdef Py_ssize_t n = bars.shape[0]
        if n == 0 or session.shape[0] != 1 or out.shape[0] != 1:
            raise ValueError("at least one bar, one session and one record are needed")
        self.refresh(&bars[n - 1], n, &session[0], &out[0])

    def next_session(self, const Session[::1] ended not None):
        """End a session outside of a market state.

        Raises
        ------
        ValueError
            If `ended` is not one session.
        """
        if ended.shape[0] != 1:
            raise ValueError(f"one session ends, were {ended.shape[0]}")
        self.end_session(&ended[0])

    @property
    def snapshot(self):
        """Copy of the snapshot in force, shape (1,), None before the first."""
        if not self.has_snapshot:
            return None
        copy = np.zeros(1, SNAPSHOT_DTYPE)
        cdef Snapshot[::1] view = copy
        view[0] = self._snapshot
        return copy

    cdef void end_session(self, const Session* ended) noexcept nogil:
        """Keep what later sessions need of the one that ended."""
        if self.active:
            self._hedging.end_session(ended)

    cdef void change_contract(self, int64_t settle) noexcept nogil:
        """Drop the basis: the next contract has another."""
        self._contract_settle = settle
        self._ema = NAN
        self._ema_at = 0
        self._ema_session = 0
        self._choose_carry()

    cdef void refresh(
        self,
        const Bar* last,
        Py_ssize_t count,
        const Session* session,
        OptionsInput* out,
    ) noexcept nogil:
        """Bring everything up to date at the close of `last`; `out` stays before any source."""
        cdef int64_t now = last.t_close
        cdef double es = 0.25 * <double> last.close, at
        while self._first < self._last and self._queue[self._first].effective <= now:
            self._take(&self._queue[self._first], last, count, session)
            self._first += 1
        if self._first == self._last:
            self._first = 0
            self._last = 0
        self._hedging.add(last, session)
        if not self._fed:
            return
        memset(out, 0, sizeof(OptionsInput))
        out.gamma_flip = NAN
        out.call_wall = NAN
        out.put_wall = NAN
        self.quality = 0.0
        self.gex = NAN
        self.flow = NAN
        if self.has_snapshot:
            self.basis = self._basis(es, now, session)
            self.spot = es - self.basis
            self.quality = self._quality(now, session)
            at = (self.spot - self._snapshot.profile_low) / self._snapshot.profile_step
            if ge(at, 0.0) and at < PROFILE_LEVELS - 1:
                self.gex = self._snapshot.profile[<int> at] + (at - <int> at) * (
                    self._snapshot.profile[<int> at + 1] - self._snapshot.profile[<int> at]
                )
            out.ts_quotes = self._snapshot.asof
            out.quality = self.quality
            if ge(self.quality, MISSING):
                self._evaluate(now, session, out)
        if (
            self._vix_at != 0
            and self._vix_known <= now <= self._vix_at + VIX_AGE_NS
            and session.t_rth_open <= now < session.t_rth_close
        ):
            out.feature[5] = clip((self._vix_term + 0.08) / 0.15, -1.0, 1.0)
            out.valid[5] = 1

    cdef void _evaluate(
        self, int64_t now, const Session* session, OptionsInput* out
    ) noexcept nogil:
        cdef const Snapshot* chain = &self._snapshot
        cdef double q = self.quality
        cdef double scale = 4.0 * (self.spot + self.basis) / self.spot
        cdef double width = chain.call_wall - chain.put_wall
        cdef double[6] value
        cdef int k
        out.gamma_flip = chain.flip * scale
        out.call_wall = chain.call_wall * scale
        out.put_wall = chain.put_wall * scale
        value[0] = chain.gamma_ratio
        value[1] = <double> sgn(chain.gex) if isnan(chain.flip) else clip(
            (self.spot - chain.flip) / (3.0 * chain.expected_move), -1.0, 1.0
        )
        value[2] = NAN
        if width > 0.0 and not lt(width, 0.5 * chain.expected_move):
            value[2] = clip(
                (self.spot - 0.5 * (chain.call_wall + chain.put_wall)) / (0.5 * width), -1.0, 1.0
            )
        self.flow = self._hedging.flow(chain.cex, chain.vex, now, session)
        value[3] = self._hedging.feature(self.flow, now, session)
        value[4] = chain.skew
        value[5] = chain.term
        for k in range(6):
            if not isnan(value[k]):
                out.feature[k] = q * value[k]
                out.valid[k] = 1

    cdef void _take(
        self, const Snapshot* snapshot, const Bar* last, Py_ssize_t count, const Session* session
    ) noexcept nogil:
        """Make a snapshot the one in force, and learn the basis from it."""
        cdef double es = _price_at(last, count, snapshot.asof), known
        cdef double sample, weight = 1.0
        self._snapshot = snapshot[0]
        self.has_snapshot = True
        self._es_agrees = True
        self._choose_carry()
        if isnan(es):
            return
        known = self._basis(es, snapshot.asof, session)
        if not isnan(known):
            self._es_agrees = lt(
                fabs(snapshot.spot - (es - known)), MAX_SPOT_GAP * snapshot.spot
            )
        if not self._es_agrees or not (
            session.t_rth_open <= snapshot.asof < session.t_rth_close
        ) or snapshot.chain_quality <= 0.0:
            return
        sample = es - snapshot.spot
        if self._ema_session == session.session_id:
            if snapshot.asof <= self._ema_at:
                return
            weight = 1.0 - exp(
                -0.6931471805599453 * (snapshot.asof - self._ema_at) / self._half_life_ns
            )
            self._ema += weight * (sample - self._ema)
        else:
            self._ema = sample
        self._ema_at = snapshot.asof
        self._ema_session = session.session_id

    cdef void _choose_carry(self) noexcept nogil:
        """Take the carry of the quarterly with which the contract settles, else the nearest's."""
        cdef int k
        self._carry = NAN
        self._settle = self._snapshot.quarter_settle[0]
        if self._settle != 0:
            self._carry = self._snapshot.quarter_carry[0]
        if self._contract_settle == 0:
            return
        for k in range(4):
            if self._snapshot.quarter_settle[k] == self._contract_settle:
                self._carry = self._snapshot.quarter_carry[k]
        self._settle = self._contract_settle

    cdef double _model_basis(self, double es, int64_t now) noexcept nogil:
        """ES less S by the carry to the expiry of the contract, nan unknown."""
        return es * (1.0 - exp(-self._carry * <double> (self._settle - now) / YEAR_NS))

    cdef double _basis(self, double es, int64_t now, const Session* session) noexcept nogil:
        """ES less S: the average of the samples in RTH, the carry model elsewhere."""
        cdef double model = self._model_basis(es, now)
        if isnan(model):
            return self._ema
        if (
            self._ema_session == session.session_id
            and session.t_rth_open <= now < session.t_rth_close
            and not gt(fabs(self._ema - model), self._max_error)
        ):
            return self._ema
        return model

    cdef double _quality(self, int64_t now, const Session* session) noexcept nogil:
        cdef const Snapshot* chain = &self._snapshot
        cdef double minutes = <double> (now - chain.asof) / <double> MINUTE_NS
        cdef bint rth = session.t_rth_open <= now < session.t_rth_close
        cdef double q = 0.0, elapsed, moved
        if isnan(self.spot) or not self._es_agrees:
            return 0.0
        if rth:
            if chain.delayed:
                q = clip((60.0 - minutes) / 40.0, 0.0, 1.0)
            else:
                q = clip((30.0 - minutes) / 28.0, 0.0, 1.0)
        if chain.evening_from != 0 and chain.evening_from <= now < chain.evening_until:
            q = q if q > EVENING else EVENING
        q *= chain.chain_quality
        if now >= chain.oi_until[2]:
            return 0.0
        if now >= chain.oi_until[1]:
            q *= 0.2
        elif now >= chain.oi_until[0]:
            q *= 0.5
        moved = fabs(self.spot - chain.spot)
        if gt(moved, 2.0 * chain.expected_move):
            q *= 0.2
        elif gt(moved, chain.expected_move):
            q *= 0.5
        if rth and session.session_id == chain.session_id:
            elapsed = <double> (now - session.t_rth_open) / <double> (
                session.t_rth_close - session.t_rth_open
            )
            q *= 1.0 - 0.5 * chain.zero_dte_share * elapsed
        return q


cdef double _price_at(const Bar* last, Py_ssize_t count, int64_t ts) noexcept nogil:
    """ES in points at the close nearest to `ts`, nan if none of the last 128 is near."""
    cdef Py_ssize_t k = 0, readable = min(count, 128)
    cdef int64_t gap
    while k + 1 < readable and (last - k - 1).t_close >= ts:
        k += 1
    # Bar k closed at or after ts, bar k + 1 before it.
    if k + 1 < readable and ts - (last - k - 1).t_close < (last - k).t_close - ts:
        k += 1
    gap = (last - k).t_close - ts
    if gap > PRICE_REACH_NS or gap < -PRICE_REACH_NS:
        return NAN
    return 0.25 * <double> (last - k).close
