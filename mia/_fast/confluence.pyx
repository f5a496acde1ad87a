"""Levels of one instrument at each primary close, and the confluence of its price.

Every close builds all levels anew from what the row knows; only the touches need memory.
"""

cimport cython
from libc.math cimport fabs, isnan
from libc.stdint cimport int64_t

import numpy as np

from mia._fast.levels cimport (
    HVN, N_KINDS, OVERNIGHT_HIGH, OVERNIGHT_LOW, POC, PREV_POC, PREV_VAH, PREV_VAL,
    ROUND_25, ROUND_100, SESSION_HIGH, SESSION_LOW, VAH, VAL, VWAP, VWAP_SD1, VWAP_SD2, Level,
    Zone, build_zones, score_price, weigh,
)
from mia._fast.records cimport Bar, OptionsInput, Params, Row, dmax, floor_tol, gt, le
from mia._fast.touches cimport Touches

from mia._fast.levels import LEVEL_DTYPE, ZONE_DTYPE

cdef double NS_PER_MINUTE = 6e10
cdef double NODE_GAP = 3.0          # a node this near to the POC is the POC
cdef double NODE_REACH = 800.0      # ticks from the close, as far as zones reach
cdef int64_t TICKS_PER_25 = 100
cdef int64_t TICKS_PER_100 = 400


@cython.final
cdef class Confluence:
    """Levels and zones of one instrument, rebuilt at each primary close.

    Parameters
    ----------
    params : ndarray of records.PARAMS_DTYPE, shape (1,)
        The method's parameters; copied.

    Raises
    ------
    ValueError
        If `params` is not one record of parameters.

    Notes
    -----
    Nodes of the profile farther from the close than any rule looks are left out. Where two levels
    of a family weigh the same and the cap leaves room for one, a zone counts the lower. Options of
    quality 0 still give levels, of weight 0: what quality forbids is for the gates to say.
    """

    def __cinit__(self, params):
        cdef const Params[::1] view = params
        cdef Level[::1] levels
        cdef Zone[::1] zones
        cdef int64_t[::1] order
        cdef double[::1] terms
        if view.shape[0] != 1:
            raise ValueError(f"params must hold one record, held {view.shape[0]}")
        self._p = view[0]
        self._level_memory = np.zeros(MAX_LEVELS, LEVEL_DTYPE)
        self._zone_memory = np.zeros(MAX_LEVELS, ZONE_DTYPE)
        self._order_memory = np.zeros(MAX_LEVELS, np.int64)
        self._term_memory = np.zeros(MAX_LEVELS)
        levels = self._level_memory
        zones = self._zone_memory
        order = self._order_memory
        terms = self._term_memory
        self.levels = &levels[0]
        self.zones = &zones[0]
        self._scratch.order = &order[0]
        self._scratch.terms = &terms[0]
        self._touches = Touches()
        self._level_memory.flags.writeable = False
        self._zone_memory.flags.writeable = False
        self.clear()

    cdef void clear(self) noexcept nogil:
        """Start a session: no levels, no touches."""
        self._touches.clear()
        self.n_levels = 0
        self.n_zones = 0

    def reset(self):
        """Start a new session: forget touches, levels and zones."""
        self.clear()

    def level_array(self):
        """Show the levels of the last update.

        Returns
        -------
        ndarray of levels.LEVEL_DTYPE, read-only
            Those of one family in the order of `levels.LEVEL_KINDS`; valid until the next update.
        """
        return self._level_memory[:self.n_levels]

    def zone_array(self):
        """Show the zones of the last update.

        Returns
        -------
        ndarray of levels.ZONE_DTYPE, read-only
            Ascending by price; valid until the next update.
        """
        return self._zone_memory[:self.n_zones]

    def score_levels(
        self,
        double close,
        double atr,
        const int64_t[::1] kinds not None,
        const double[::1] prices not None,
        const double[::1] ages not None,
        const int64_t[::1] touches not None,
        const double[::1] quality not None,
    ):
        """Weigh given levels instead of those of a row.

        Parameters
        ----------
        close, atr : float
            Ticks.
        kinds : ndarray of int64, shape (n,)
            Indices into `levels.LEVEL_KINDS`; n at most 1024.
        prices : ndarray of float64, shape (n,)
            Ticks.
        ages : ndarray of float64, shape (n,)
            Minutes; ignored for kinds that move with the market, as are touches.
        touches : ndarray of int64, shape (n,)
        quality : ndarray of float64, shape (n,)
            Of the options, in [0, 1]; ignored for other families.

        Returns
        -------
        float
            Confluence of the close, in [0, 1]; levels and zones are then readable.

        Raises
        ------
        ValueError
            If lengths differ, there are too many levels, or a kind is unknown.
        """
        cdef Py_ssize_t n = kinds.shape[0]
        cdef Py_ssize_t k
        for k in (prices.shape[0], ages.shape[0], touches.shape[0], quality.shape[0]):
            if k != n:
                raise ValueError(f"columns of levels must be equally long, were {n} and {k}")
        if n > MAX_LEVELS:
            raise ValueError(f"at most {MAX_LEVELS} levels fit, were {n}")
        for k in range(n):
            if not 0 <= kinds[k] < N_KINDS:
                raise ValueError(f"kind must be in [0, {N_KINDS}), was {kinds[k]}")
        self.n_levels = 0
        for k in range(n):
            self._add(<int> kinds[k], prices[k], ages[k], touches[k], quality[k])
        return self._score(close, atr)

    def run(
        self,
        const Bar[::1] bars not None,
        Row[::1] rows not None,
        const OptionsInput[::1] options=None,
        const double[::1] nodes=None,
        const int64_t[::1] first_node=None,
    ):
        """Score consecutive bars, starting afresh at every change of session.

        Parameters
        ----------
        bars : ndarray of records.BAR_DTYPE, shape (n,)
        rows : ndarray of records.ROW_DTYPE, shape (n,)
            What is known at each close; `price_score` is filled in.
        options : ndarray of records.OPTIONS_DTYPE, shape (n,), optional
            None: no chains.
        nodes : ndarray of float64, shape (m,), optional
            High-volume nodes of all bars, one after the other, in ticks.
        first_node : ndarray of int64, shape (n + 1,), optional
            Bar i has ``nodes[first_node[i]:first_node[i + 1]]``.

        Returns
        -------
        zones : ndarray of levels.ZONE_DTYPE, shape (k,)
            Zones of all bars, one after the other.
        first_zone : ndarray of int64, shape (n + 1,)
            Bar i has ``zones[first_zone[i]:first_zone[i + 1]]``.

        Raises
        ------
        ValueError
            If the lengths do not fit together.
        """
        cdef OptionsInput none = no_options()
        cdef Py_ssize_t n = bars.shape[0]
        cdef Py_ssize_t i
        cdef Py_ssize_t count = 0
        cdef const OptionsInput* known = &none
        cdef const double* hvn = NULL
        cdef Py_ssize_t n_hvn = 0
        first_zone = np.zeros(n + 1, np.int64)
        zones = []
        if rows.shape[0] != n or (options is not None and options.shape[0] != n):
            raise ValueError(f"rows and options must be as many as the {n} bars")
        if (nodes is None) != (first_node is None):
            raise ValueError("nodes and first_node go together")
        if first_node is not None:
            check_offsets(first_node, n, nodes.shape[0])
        for i in range(n):
            if i == 0 or bars[i].session_id != bars[i - 1].session_id:
                self.clear()
                count = 0
            count += 1
            if options is not None:
                known = &options[i]
            if first_node is not None:
                n_hvn = first_node[i + 1] - first_node[i]
                hvn = &nodes[first_node[i]] if n_hvn else NULL
            self.update(&bars[i], count, &rows[i], known, hvn, n_hvn)
            zones.append(self.zone_array().copy())
            first_zone[i + 1] = first_zone[i] + self.n_zones
        return np.concatenate(zones) if zones else np.zeros(0, ZONE_DTYPE), first_zone

    cdef void update(
        self, const Bar* last, Py_ssize_t count, Row* row, const OptionsInput* options,
        const double* hvn, Py_ssize_t n_hvn,
    ) noexcept nogil:
        """Rebuild levels and zones at the close of `last` and set ``row.price_score``.

        `hvn` are the nodes of the profile from which the developing levels were taken.
        """
        cdef double close = <double> last.close
        self.n_levels = 0
        self._options_levels(last, options)
        self._moving_levels(close, row, hvn, n_hvn)
        self._fixed_levels(last, row)
        row.price_score = self._score(close, row.atr)
        # Touches are of bars before this one, so it is recorded last.
        self._touches.record(last, row.rth != 0)

    cdef void _options_levels(self, const Bar* last, const OptionsInput* options) noexcept nogil:
        cdef double age = <double> (last.t_close - options.ts_quotes) / NS_PER_MINUTE
        cdef double[3] prices = [options.call_wall, options.put_wall, options.gamma_flip]
        cdef int kind
        for kind in range(3):
            if not isnan(prices[kind]):
                self._add(
                    kind, prices[kind], dmax(0.0, age), self._touches.count(kind, prices[kind]),
                    options.quality,
                )

    cdef void _fixed_levels(self, const Bar* last, const Row* row) noexcept nogil:
        cdef double age = dmax(0.0, <double> (last.t_close - row.t_rth_open) / NS_PER_MINUTE)
        cdef double[5] prices = [
            <double> row.previous_poc, <double> row.previous_vah, <double> row.previous_val,
            <double> row.overnight_high, <double> row.overnight_low,
        ]
        cdef int[5] kinds = [PREV_POC, PREV_VAH, PREV_VAL, OVERNIGHT_HIGH, OVERNIGHT_LOW]
        cdef int k
        for k in range(5):
            if (row.previous_valid if k < 3 else row.overnight_valid) != 0:
                self._add(kinds[k], prices[k], age, self._touches.count(3 + k, prices[k]), 1.0)

    cdef void _moving_levels(
        self, double close, const Row* row, const double* hvn, Py_ssize_t n_hvn
    ) noexcept nogil:
        cdef double vwap = selected_vwap(row, &self._p)
        cdef double sd = selected_vwap_sd(row, &self._p)
        cdef double poc = <double> row.developing_poc
        cdef double reach = dmax(NODE_REACH, self._p.conf_radius_atr * row.atr)
        # A tie takes the lower multiple: half a step up, less a little, then down.
        cdef int64_t number = <int64_t> floor_tol((close + 49.5) / <double> TICKS_PER_25)
        cdef Py_ssize_t k
        if row.developing_valid != 0:
            self._add(POC, poc, 0.0, 0, 1.0)
            self._add(VAH, <double> row.developing_vah, 0.0, 0, 1.0)
            self._add(VAL, <double> row.developing_val, 0.0, 0, 1.0)
            for k in range(n_hvn):
                if gt(fabs(hvn[k] - poc), NODE_GAP) and le(fabs(hvn[k] - close), reach):
                    self._add(HVN, hvn[k], 0.0, 0, 1.0)
        if not isnan(vwap):
            self._add(VWAP, vwap, 0.0, 0, 1.0)
            self._add(VWAP_SD1, vwap - sd, 0.0, 0, 1.0)
            self._add(VWAP_SD1, vwap + sd, 0.0, 0, 1.0)
            self._add(VWAP_SD2, vwap - 2.0 * sd, 0.0, 0, 1.0)
            self._add(VWAP_SD2, vwap + 2.0 * sd, 0.0, 0, 1.0)
        self._add(SESSION_HIGH, <double> row.session_high, 0.0, 0, 1.0)
        self._add(SESSION_LOW, <double> row.session_low, 0.0, 0, 1.0)
        number *= TICKS_PER_25
        self._add(
            ROUND_25 if number % TICKS_PER_100 else ROUND_100, <double> number, 0.0, 0, 1.0
        )

    cdef void _add(
        self, int kind, double price, double age, int64_t touches, double quality
    ) noexcept nogil:
        if self.n_levels < MAX_LEVELS:
            weigh(&self.levels[self.n_levels], kind, price, age, touches, quality)
            self.n_levels += 1

    cdef double _score(self, double close, double atr) noexcept nogil:
        """Rebuild the zones of the levels and score the close among them."""
        self.n_zones = build_zones(
            self.levels, self.n_levels, close, atr, &self._p, self._scratch, self.zones
        )
        return score_price(self.levels, self.n_levels, close, atr, &self._p, self._scratch)


cdef int check_offsets(const int64_t[::1] first, Py_ssize_t n, Py_ssize_t length) except -1:
    cdef Py_ssize_t i
    if first.shape[0] != n + 1 or first[0] != 0 or first[n] != length:
        raise ValueError(f"{n} bars need {n + 1} offsets from 0 to {length}")
    for i in range(n):
        if first[i + 1] < first[i]:
            raise ValueError(f"offsets must not fall, did after bar {i}")
    return 0
