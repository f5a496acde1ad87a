"""Levels of a session: VWAP anchors, CVD, profiles, extremes, and those of the session before."""

cimport cython
from libc.math cimport NAN, isnan

from mia._fast.records cimport FLAG_READY_MADE

cdef int64_t SECOND = 1_000_000_000


@cython.final
cdef class SessionLevels:
    """What a session has accumulated at its latest primary close.

    Parameters
    ----------
    params : ndarray of records.PARAMS_DTYPE, shape (1,)

    Attributes
    ----------
    globex_profile, rth_profile : Profile
    vwap_globex, vwap_rth : Vwap
    cvd : Cvd
        Of the closed primary bars.
    """

    def __cinit__(self, const Params[::1] params not None):
        self._p = params[0]
        self.globex_profile = Profile(params)
        self.rth_profile = Profile(params)
        self.vwap_globex = Vwap()
        self.vwap_rth = Vwap()
        self.cvd = Cvd()

    @property
    def previous(self):
        """POC, VAH and VAL of the session before, None without them."""
        if not self._has_previous:
            return None
        return self._previous_poc, self._previous_vah, self._previous_val

    cdef void reset(self) noexcept nogil:
        """Start a session; the levels of the one before stay."""
        self.globex_profile.reset()
        self.rth_profile.reset()
        self.vwap_globex.reset()
        self.vwap_rth.reset()
        self.cvd.reset()
        self._has_overnight = False
        self._last_rth_close = 0
        self._gap = self._gap_overnight = self._gap_rth = False

    cdef void mark_gap(self, bint overnight, bint rth) noexcept nogil:
        """Distrust the sums of the session from here on, and those of the hours that it missed."""
        self._gap = True
        self._gap_overnight = self._gap_overnight or overnight
        self._gap_rth = self._gap_rth or rth

    cdef void keep(self, const Session* session) noexcept nogil:
        """End a session: its RTH profile gives the next one's previous levels, if long enough."""
        if self._gap_rth:
            self._has_previous = False
        elif not self.rth_profile.empty() and self._last_rth_close >= (
            session.t_rth_open + self._p.profile_prev_min_minutes * 60 * SECOND
        ):
            self.rth_profile.evaluate()
            self._has_previous = True
            self._previous_poc = self.rth_profile.poc
            self._previous_vah = self.rth_profile.vah
            self._previous_val = self.rth_profile.val

    cdef void forget_previous(self) noexcept nogil:
        """Drop the levels of the session before: they belong to another contract."""
        self._has_previous = False

    cdef int add(
        self, const Bar* bar, const PriceRows* prints, const Session* session, Row* row
    ) except -1 nogil:
        """Take a closed primary bar and write all levels to its row.

        `prints` is its volume at price, NULL for a ready-made bar.
        """
        self._accumulate(bar, prints, session, row)
        self._slope(row.index, row)
        self._fill(bar, session, row)
        return 0

    cdef Py_ssize_t nodes(
        self, const Bar* bar, const Session* session, const double** out
    ) except -1 nogil:
        """Find the high-volume nodes of the developing profile; their count."""
        cdef Py_ssize_t n
        if self._from_rth(bar, session):
            n = self.rth_profile.find_hvn()
            out[0] = &self.rth_profile._nodes[0]
        else:
            n = self.globex_profile.find_hvn()
            out[0] = &self.globex_profile._nodes[0]
        return n

    cdef int _accumulate(
        self, const Bar* bar, const PriceRows* prints, const Session* session, Row* row
    ) except -1 nogil:
        """Add the bar to CVD, both VWAP anchors, the profiles and the extremes."""
        if row.index == 0:
            self._session_high = bar.high
            self._session_low = bar.low
        self._session_high = max(self._session_high, bar.high)
        self._session_low = min(self._session_low, bar.low)
        if bar.t_open < session.t_rth_open:
            if not self._has_overnight:
                self._overnight_high = bar.high
                self._overnight_low = bar.low
                self._has_overnight = True
            self._overnight_high = max(self._overnight_high, bar.high)
            self._overnight_low = min(self._overnight_low, bar.low)
        self.cvd.add(bar.ask_volume - bar.bid_volume)
        self.vwap_globex.add(bar)
        if row.rth:
            self.vwap_rth.add(bar)
            self._last_rth_close = bar.t_close
        if bar.flags & FLAG_READY_MADE:
            self.globex_profile.add_range(bar)
            if row.rth:
                self.rth_profile.add_range(bar)
        else:
            self.globex_profile.add_prints(prints)
            if row.rth:
                self.rth_profile.add_prints(prints)
        row.cvd = self.cvd.value
        row.vwap_rth = NAN if self._gap_rth else self.vwap_rth.mean()
        row.vwap_rth_sd = NAN if self._gap_rth else self.vwap_rth.deviation()
        row.vwap = NAN if self._gap else self.vwap_globex.mean()
        row.vwap_sd = NAN if self._gap else self.vwap_globex.deviation()
        return 0

    cdef void _slope(self, Py_ssize_t index, Row* row) noexcept nogil:
        cdef int64_t span = self._p.vwap_slope_bars
        cdef double before, now = row.vwap if self._p.vwap_anchor == 0 else row.vwap_rth
        self._vwaps[index % VWAP_HISTORY] = now
        if index >= span:
            before = self._vwaps[(index - span) % VWAP_HISTORY]
            if not isnan(before) and not isnan(now):
                row.vslope = (now - before) / span
                row.vslope_valid = 1

    cdef bint _from_rth(self, const Bar* bar, const Session* session) noexcept nogil:
        """Whether developing levels come from the RTH profile at this close."""
        return (
            session.t_rth_open + self._p.profile_min_minutes * 60 * SECOND
            <= bar.t_close
            < session.t_rth_close
        ) and not self._gap_rth and not self.rth_profile.empty()

    cdef void _fill(self, const Bar* bar, const Session* session, Row* row) noexcept nogil:
        """Profile levels, those of the previous session, and the session's extremes."""
        if not self._gap and not self.globex_profile.empty():
            self.globex_profile.evaluate()
            row.profile_valid = 1
            row.poc = self.globex_profile.poc
            row.vah = self.globex_profile.vah
            row.val = self.globex_profile.val
        if self._from_rth(bar, session):
            self.rth_profile.evaluate()
            row.developing_valid = 1
            row.developing_poc = self.rth_profile.poc
            row.developing_vah = self.rth_profile.vah
            row.developing_val = self.rth_profile.val
        elif row.profile_valid and bar.t_close >= (
            session.t_open + self._p.profile_min_minutes * 60 * SECOND
        ):
            row.developing_valid = 1
            row.developing_poc = row.poc
            row.developing_vah = row.vah
            row.developing_val = row.val
        if self._has_previous:
            row.previous_valid = 1
            row.previous_poc = self._previous_poc
            row.previous_vah = self._previous_vah
            row.previous_val = self._previous_val
        row.session_high = self._session_high
        row.session_low = self._session_low
        if (
            self._has_overnight
            and not self._gap_overnight
            and bar.t_close >= session.t_rth_open
        ):
            row.overnight_valid = 1
            row.overnight_high = self._overnight_high
            row.overnight_low = self._overnight_low
