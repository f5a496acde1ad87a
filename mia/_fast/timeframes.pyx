"""Battle Navale on several time frames and its volatility-weighted mean.

The functions at the top serve every stream: true range, phase, patterns with their fallback.
"""

cimport cython


from mia._fast.patterns cimport detect
from mia._fast.records cimport clip, dmax, gt


cdef int64_t SECOND = 1_000_000_000

cdef double[3][4] WEIGHTS = [
    [0.70, 0.20, 0.10, 0.00],
    [0.50, 0.30, 0.15, 0.05],
    [0.30, 0.30, 0.25, 0.15],
]


cdef double average_true_range(const Bar* last, Py_ssize_t count, int64_t window) noexcept nogil:
    """Mean true range of the newest `window` bars in ticks, at least 1."""
    cdef Py_ssize_t n = min(count, window), k
    cdef int64_t total = 0, high, low, before
    for k in range(n):
        high = last[-k].high
        low = last[-k].low
        if k < count - 1:
            before = last[-k - 1].close
            high = max(high, before)
            low = min(low, before)
        total += high - low
    return dmax(1.0, <double> total / n)


cdef int64_t phase_of(const Session* session, int64_t ts) noexcept nogil:
    """Phase of the day, in the order of `mia.core.base_types.Phase`."""
    if ts >= session.t_halt:
        return 7 if ts < session.t_end else 0
    if ts >= session.t_rth_close:
        return 6
    if ts >= session.t_afternoon:
        return 5
    if ts >= session.t_lunch:
        return 4
    if ts >= session.t_rth_open:
        return 3
    if ts >= session.t_london_open:
        return 2
    return 1 if ts >= session.t_pre_market else 0


cdef void detect_on(
    PatternMemory memory,
    const Bar* last,
    Py_ssize_t count,
    double atr,
    double vol_ref,
    bint strict,
    const Params* p,
    int64_t* hit,
) noexcept nogil:
    """Remember the patterns known at the close of `last`; flag those found in `hit`."""
    cdef double strength[4]
    cdef double widen = 1.0
    cdef int kind
    if not strict:
        widen = dmax(1.0, p.pat_time_bar_atr * atr / p.pat_leg_ticks)
    detect(
        last,
        count,
        vol_ref,
        p.pat_leg_ticks * widen,
        p.pat_leg_ticks_color * widen,
        strict,
        strength,
    )
    for kind in range(4):
        if strength[kind] > 0.0:
            memory.push(kind, last.t_close, strength[kind])
            hit[kind] = 1


cdef bint combine_frames(
    const double* score,
    const double* confidence,
    const bint* valid,
    double vol01,
    double norm,
    double* mtf,
) noexcept nogil:
    """Weigh the frames by volatility; False and 0 if no valid frame has weight."""
    cdef int regime = 0 if gt(vol01, 0.8) else (1 if gt(vol01, 0.4) else 2)
    cdef double above = 0.0, below = 0.0, w
    cdef int k
    for k in range(4):
        if valid[k]:
            w = WEIGHTS[regime][k] * confidence[k]
            above += w * score[k]
            below += w
    mtf[0] = 0.0
    if below == 0.0:
        return False
    mtf[0] = clip(above / below / norm, -1.0, 1.0)
    return True


@cython.final
cdef class Frame:
    """Battle Navale on one time frame built from the primary stream.

    Parameters
    ----------
    params : ndarray of records.PARAMS_DTYPE, shape (1,)
    width_s : int
        Width of the frame in seconds.
    used : bool
        False leaves the frame out of everything.
    """

    def __cinit__(self, const Params[::1] params not None, int64_t width_s, bint used):
        self._p = params[0]
        self._resampler = Resampler(width_s)
        self.series = BarSeries()
        self._navale = BattleNavale(params)
        self._volume_ref = PhaseRings(self._p.stats_vol_ref_bars, self._p.stats_vol_ref_min)
        self._patterns = PatternMemory(self._p.bn_pattern_timeout_min * 60 * SECOND)
        self.used = used

    cdef void reset(self) noexcept nogil:
        self._resampler.reset()
        self.series.reset()
        self._navale.reset()
        self._patterns.reset()

    cdef void add(self, const Bar* primary, const Session* session) noexcept nogil:
        """Take a closed primary bar."""
        cdef Bar closed
        if not self.used:
            return
        if self._resampler.close_before(primary, session, &closed):
            self._close(&closed, session)
        if self._resampler.add(primary, session, &closed):
            self._close(&closed, session)

    cdef void flush(self, const Session* session) noexcept nogil:
        """Close the open group: its session is over, and its volume enters the reference."""
        if self._resampler.has_bar:
            self._resampler.has_bar = False
            self._close(&self._resampler.bar, session)

    cdef void _close(self, const Bar* bar, const Session* session) noexcept nogil:
        cdef const Bar* last = self.series.push(bar)
        cdef Py_ssize_t count = self.series.count
        cdef int64_t phase = phase_of(session, bar.t_open)
        cdef double atr = average_true_range(last, count, self._p.stats_atr_bars)
        cdef double cold = self._p.stats_vol_ref_cold
        cdef double vol_ref = cold
        cdef double present[4]
        cdef int64_t hit[4]
        if not self._p.bn_absolute_refs:
            vol_ref = self._volume_ref.reference(phase, cold)
        detect_on(self._patterns, last, count, atr, vol_ref, False, &self._p, hit)
        self._patterns.present(bar.t_close, present)
        self._navale.update(
            last,
            count,
            atr,
            vol_ref,
            dmax(present[0], present[3]),
            dmax(present[1], present[2]),
            &self.battle,
        )
        if bar.t_open >= self._gap_until:
            self._volume_ref.push(phase, <double> bar.volume)

    @property
    def volumes(self):
        """Reference volumes of each phase, oldest first: a list of new ndarrays."""
        return self._volume_ref.values

    @property
    def state(self):
        """Battle Navale of the last closed bar as a dict, None before five bars."""
        return self.battle if self.series.count >= 5 else None


@cython.final
cdef class Timeframes:
    """The frames of ``mtf.frames_min``.

    Parameters
    ----------
    params : ndarray of records.PARAMS_DTYPE, shape (1,)
    primary_s : int
        Width of a primary time bar in seconds, 0 for other bars; narrower frames are left out.
    """

    def __cinit__(self, const Params[::1] params not None, int64_t primary_s):
        self._p = params[0]
        widths = [
            60 * self._p.mtf_frame_0,
            60 * self._p.mtf_frame_1,
            60 * self._p.mtf_frame_2,
            60 * self._p.mtf_frame_3,
        ]
        frames = [Frame(params, width, width >= primary_s) for width in widths]
        self.first, self.second, self.third, self.fourth = frames

    cdef void reset(self) noexcept nogil:
        self.first.reset()
        self.second.reset()
        self.third.reset()
        self.fourth.reset()

    cdef void add(self, const Bar* primary, const Session* session) noexcept nogil:
        """Take a closed primary bar."""
        self.first.add(primary, session)
        self.second.add(primary, session)
        self.third.add(primary, session)
        self.fourth.add(primary, session)

    cdef void flush(self, const Session* session) noexcept nogil:
        """Close the open groups of all frames at the end of a session."""
        self.first.flush(session)
        self.second.flush(session)
        self.third.flush(session)
        self.fourth.flush(session)

    cdef void mark_gap(self, int64_t until) noexcept nogil:
        """Keep bars that open before `until`, which miss trades, out of the references."""
        self.first._gap_until = until
        self.second._gap_until = until
        self.third._gap_until = until
        self.fourth._gap_until = until

    cdef bint combine(self, double vol01, double* mtf) noexcept nogil:
        """Write the mean over frames with at least five bars; False if there is none."""
        cdef double score[4]
        cdef double confidence[4]
        cdef bint valid[4]
        valid[0] = self.first.used and self.first.series.count >= 5
        valid[1] = self.second.used and self.second.series.count >= 5
        valid[2] = self.third.used and self.third.series.count >= 5
        valid[3] = self.fourth.used and self.fourth.series.count >= 5
        score[0] = self.first.battle.score
        score[1] = self.second.battle.score
        score[2] = self.third.battle.score
        score[3] = self.fourth.battle.score
        confidence[0] = self.first.battle.confidence
        confidence[1] = self.second.battle.confidence
        confidence[2] = self.third.battle.confidence
        confidence[3] = self.fourth.battle.confidence
        return combine_frames(score, confidence, valid, vol01, self._p.mtf_norm, mtf)


def combine(
    const double[::1] score not None,
    const double[::1] confidence not None,
    valid,
    double vol01,
    double norm=0.6,
):
    """Return (mtf, valid) of four frames.

    Parameters
    ----------
    score, confidence : ndarray of float64, shape (4,)
        S and confidence of each frame, narrowest first.
    valid : sequence of bool, length 4
    vol01 : float
        Volatility in [0, 1].
    norm : float
        ``mtf.norm``.

    Raises
    ------
    ValueError
        If there are not four frames.
    """
    cdef bint flags[4]
    cdef double mtf = 0.0
    cdef bint usable
    if not (score.shape[0] == confidence.shape[0] == len(valid) == 4):
        raise ValueError("four frames are needed")
    for k in range(4):
        flags[k] = valid[k]
    usable = combine_frames(&score[0], &confidence[0], flags, vol01, norm, &mtf)
    return mtf, bool(usable)
