"""Hedging flow of dealers for the rest of the session, against what ES usually trades in it.

The flow x is the delta that dealers must trade until the close over 5 % of the median dollar volume
of the same remaining window. What naive signs give never changes its sign, so the feature is x less
its own median at the same half hour.
"""

cimport cython
from libc.math cimport NAN, isnan
from libc.stdint cimport int64_t

import numpy as np

from mia._fast.records cimport clip
from mia._fast.statistics cimport median_of

cdef double DAY_NS = 86400e9
cdef int64_t MINUTE_NS = 60_000_000_000
cdef int64_t HALF_HOUR_NS = 30 * MINUTE_NS
cdef double DOLLARS_PER_TICK = 12.5             # of one ES contract at one tick of price


@cython.final
cdef class HedgeFlow:
    """Dollar volume and flows of recent sessions.

    Parameters
    ----------
    dvol : float
        Expected change of volatility for the rest of a session, vol points.
    """

    def __cinit__(self, double dvol=0.0):
        cdef int k
        self._dvol = dvol
        self._dollars = np.zeros(MINUTES)
        self._past_dollars = np.zeros((DOLLAR_SESSIONS, MINUTES + 1))
        self._median_dollars = np.zeros(MINUTES + 1)
        self._flows = np.zeros((HALF_HOURS, FLOW_SESSIONS))
        for k in range(HALF_HOURS):
            self._today[k] = NAN

    cdef void add(self, const Bar* bar, const Session* session) noexcept nogil:
        """Count the dollar volume of a bar of regular hours."""
        cdef int64_t minute = (session.t_rth_close - bar.t_open - 1) // MINUTE_NS
        if session.t_rth_open <= bar.t_open < session.t_rth_close and minute < MINUTES:
            self._dollars[minute] += DOLLARS_PER_TICK * <double> bar.volume * <double> bar.close

    cdef double flow(
        self, double cex, double vex, int64_t now, const Session* session
    ) noexcept nogil:
        """Return x at a close, + dealers buy; nan outside regular hours or below 20 sessions."""
        cdef int64_t left = session.t_rth_close - now
        cdef Py_ssize_t minutes
        if (
            not session.t_rth_open <= now < session.t_rth_close
            or self._dollar_sessions < DOLLAR_SESSIONS
        ):
            return NAN
        minutes = min(<int64_t> MINUTES, (left + MINUTE_NS - 1) // MINUTE_NS)
        if self._median_dollars[minutes] <= 0.0:
            return NAN
        return -(cex * <double> left / DAY_NS + vex * self._dvol) / (
            0.05 * self._median_dollars[minutes]
        )

    cdef double feature(self, double flow, int64_t now, const Session* session) noexcept nogil:
        """Return F12 before quality and remember x; nan below 20 sessions at this half hour."""
        cdef double[60] values
        cdef Py_ssize_t k, n
        cdef int64_t half_hour = (now - session.t_rth_open) // HALF_HOUR_NS
        if isnan(flow):
            return NAN
        half_hour = min(<int64_t> HALF_HOURS - 1, half_hour)
        if isnan(self._today[half_hour]):
            self._today[half_hour] = flow
        n = min(self._flow_counts[half_hour], <int64_t> FLOW_SESSIONS)
        if n < FLOW_MIN_SESSIONS:
            return NAN
        for k in range(n):
            values[k] = self._flows[half_hour, k]
        return clip(flow - median_of(values, n), -1.0, 1.0)

    cdef void end_session(self, const Session* ended) noexcept nogil:
        """Keep what later sessions need of the one that ended."""
        cdef Py_ssize_t k, m, n
        cdef double early = 0.0, late = 0.0, total = 0.0
        cdef double[20] column
        cdef double* row
        for k in range(HALF_HOURS):
            if not isnan(self._today[k]):
                self._flows[k, self._flow_counts[k] % FLOW_SESSIONS] = self._today[k]
                self._flow_counts[k] += 1
                self._today[k] = NAN
        for m in range(30):
            late += self._dollars[m]
            early += self._dollars[MINUTES - 1 - m]
        # Half days and days that were seen in part say nothing of a full day's volume.
        if ended.t_rth_close - ended.t_rth_open == MINUTES * MINUTE_NS and early > 0.0 < late:
            row = &self._past_dollars[self._dollar_sessions % DOLLAR_SESSIONS, 0]
            for m in range(MINUTES):
                total += self._dollars[m]
                row[m + 1] = total
            self._dollar_sessions += 1
            n = min(self._dollar_sessions, <int64_t> DOLLAR_SESSIONS)
            for m in range(1, MINUTES + 1):
                for k in range(n):
                    column[k] = self._past_dollars[k, m]
                self._median_dollars[m] = median_of(column, n)
        for m in range(MINUTES):
            self._dollars[m] = 0.0
