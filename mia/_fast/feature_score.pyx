"""Quality and score of the feature vector, and the rank of the score among recent sessions."""

cimport cython
from libc.math cimport INFINITY, fabs
from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from mia._fast.records cimport Params, Row, clip, ge, pos
from mia._fast.statistics cimport rank_hi_index, sort_doubles

import numpy as np

cdef enum:
    SESSIONS = 20

cdef enum Tier:
    UNRANKED
    NONE
    WEAK
    STRONG
    PREMIUM


cdef double score_of(const double* f) noexcept nogil:
    cdef double flow, options, context, amplitude
    flow = (
        0.10 * f[0] + 0.06 * f[1] + 0.07 * f[2] + 0.07 * f[3]
        + 0.06 * f[4] + 0.06 * f[5] + 0.04 * f[6] + 0.09 * f[7]
    )
    options = 0.06 * f[9] - 0.08 * f[10] * pos(f[8]) + 0.06 * f[11]
    context = (1.0 - 0.3 * f[8]) * (0.12 * f[14] + 0.13 * f[15])
    amplitude = (1.0 - 0.15 * pos(f[12])) * (1.0 - 0.15 * pos(f[13]))
    return (
        clip(flow + options + context, -1.0, 1.0)
        * (0.7 + 0.3 * f[16]) * (0.6 + 0.4 * f[17]) * amplitude
    )


cdef void score_row(Row* row, const Params* p) noexcept nogil:
    cdef int64_t expected = 0, good = 0, wanted
    cdef Py_ssize_t k
    for k in range(18):
        if k == 4 or k == 6 or k == 7:
            wanted = p.sources_trades
        elif k == 5:
            wanted = p.sources_book
        elif 8 <= k <= 13:
            # Stale chains are no chains: a run falls back to what it is without them.
            wanted = p.sources_options and ge(row.options_quality, 0.2)
        else:
            wanted = 1
        if wanted:
            expected += 1
            good += row.valid[k] != 0
    row.feature_quality = <double> good / expected
    row.feature_score = score_of(row.feature)


def score(const double[::1] features not None):
    """Return the feature score in [-1, 1].

    Parameters
    ----------
    features : ndarray of float64, shape (18,)
        F1 to F18.

    Raises
    ------
    ValueError
        If there are not 18 features.
    """
    if features.shape[0] != 18:
        raise ValueError(f"there are 18 features, got {features.shape[0]}")
    return score_of(&features[0])


def score_rows(Row[::1] rows not None, params not None):
    """Fill `feature_quality` and `feature_score` of rows whose features are set.

    Parameters
    ----------
    rows : ndarray of ROW_DTYPE, shape (n,)
    params : ndarray of PARAMS_DTYPE, shape (1,)

    Raises
    ------
    ValueError
        If there is not exactly one record of parameters.
    """
    cdef const Params[::1] view = params
    cdef Py_ssize_t i
    if view.shape[0] != 1:
        raise ValueError(f"params must hold one record, held {view.shape[0]}")
    for i in range(rows.shape[0]):
        score_row(&rows[i], &view[0])


@cython.final
cdef class TierRanker:
    """Rank of a score among those in regular hours of the last 20 sessions.

    Memory for one value a second is set aside at the start; the system touches it only as
    sessions fill. Values beyond are ignored and counted in `dropped`.

    Parameters
    ----------
    params : ndarray of PARAMS_DTYPE, shape (1,)
        The method's parameters.
    per_session : int
        Values kept of one session, at least 1.

    Raises
    ------
    ValueError
        If there is not exactly one record, or `per_session` is less than 1.
    """

    def __cinit__(self, params not None, Py_ssize_t per_session=24_000):
        cdef const Params[::1] view = params
        cdef Py_ssize_t k
        if view.shape[0] != 1:
            raise ValueError(f"params must hold one record, held {view.shape[0]}")
        if per_session < 1:
            raise ValueError(f"per_session must be at least 1, was {per_session}")
        self._least = view[0].feat_tier_min
        self._per_session = per_session
        self._values = <double*> malloc((SESSIONS + 1) * per_session * sizeof(double))
        self._work = <double*> malloc(SESSIONS * per_session * sizeof(double))
        if self._values == NULL or self._work == NULL:
            raise MemoryError(f"no memory for {SESSIONS} sessions of {per_session} scores")
        for k in range(SESSIONS + 1):
            self._count[k] = 0
        self._weak = self._strong = self._premium = INFINITY

    def __dealloc__(self):
        free(self._values)
        free(self._work)

    cdef void push(self, double score) noexcept nogil:
        # Called at each close in regular hours.
        cdef Py_ssize_t n = self._count[self._current]
        if n == self._per_session:
            self.dropped += 1
            return
        self._values[self._current * self._per_session + n] = fabs(score)
        self._count[self._current] = n + 1

    cdef void end_session(self) noexcept nogil:
        # The finished session joins the ranking, the oldest of 21 makes room for the next. One
        # without regular hours takes no place.
        cdef Py_ssize_t k, n = 0
        if self._count[self._current] == 0:
            return
        self._current = (self._current + 1) % (SESSIONS + 1)
        self._count[self._current] = 0
        for k in range(SESSIONS + 1):
            memcpy(
                self._work + n, self._values + k * self._per_session,
                self._count[k] * sizeof(double),
            )
            n += self._count[k]
        self._total = n
        if n == 0:
            return
        sort_doubles(self._work, n)
        self._weak = self._work[rank_hi_index(n, 80)]
        self._strong = self._work[rank_hi_index(n, 90)]
        self._premium = self._work[rank_hi_index(n, 97)]

    cdef int64_t tier(self, double score) noexcept nogil:
        cdef double size = fabs(score)
        if self._total < self._least or self._total == 0:
            return UNRANKED
        if ge(size, self._premium):
            return PREMIUM
        if ge(size, self._strong):
            return STRONG
        return WEAK if ge(size, self._weak) else NONE

    def add_session(self, const double[::1] scores not None):
        """Rank later scores against a finished session too.

        Parameters
        ----------
        scores : ndarray of float64, shape (n,)
            Scores at its closes in regular hours, any sign.
        """
        cdef Py_ssize_t i
        for i in range(scores.shape[0]):
            self.push(scores[i])
        self.end_session()

    def rank(self, double score):
        """Return the tier of a score, a value of `mia.core.base_types.Tier`."""
        return self.tier(score)

    @property
    def current(self):
        """Absolute scores of the session that is running, oldest first: a new ndarray."""
        cdef Py_ssize_t i
        values = np.empty(self._count[self._current])
        cdef double[::1] view = values
        for i in range(self._count[self._current]):
            view[i] = self._values[self._current * self._per_session + i]
        return values

    @property
    def sessions(self):
        """Absolute scores of the finished sessions, oldest first: a list of new ndarrays."""
        cdef Py_ssize_t k, i, slot
        cdef double[::1] view
        cdef list out = []
        for k in range(1, SESSIONS + 1):
            slot = (self._current + k) % (SESSIONS + 1)
            values = np.empty(self._count[slot])
            view = values
            for i in range(self._count[slot]):
                view[i] = self._values[slot * self._per_session + i]
            out.append(values)
        return out
