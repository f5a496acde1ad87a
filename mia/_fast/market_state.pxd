"""C interface of the market state."""

from libc.stdint cimport int8_t, int32_t, int64_t

from mia._fast.bars cimport BarBuilder, BarSeries, Resampler
from mia._fast.battle_navale cimport BattleNavale
from mia._fast.confluence cimport Confluence
from mia._fast.evidence cimport Evidence
from mia._fast.feature_score cimport TierRanker
from mia._fast.footprint cimport Footprint
from mia._fast.options_state cimport OptionsState
from mia._fast.order_flow cimport OrderFlow
from mia._fast.records cimport Bar, OptionsInput, Params, Row, Session
from mia._fast.references cimport PatternMemory, PhaseRings
from mia._fast.regime cimport RegimeClassifier
from mia._fast.session_levels cimport SessionLevels
from mia._fast.setups cimport Setups
from mia._fast.tick_buffer cimport TickBuffer
from mia._fast.timeframes cimport Timeframes


cdef enum:
    EVENT_CLOSE = 1             # a primary bar closed and was evaluated
    EVENT_SETUP = 2             # its selected strategy has a setup
    EVENT_SESSION = 4           # a session began
    EVENT_ROWS = 8              # the row buffer is full: take the rows
    EVENT_PENDING = 16          # on_trade stopped before its trade: act, then resume

cdef class MarketState:
    cdef Params _p
    cdef const Session[::1] _sessions
    cdef Py_ssize_t _session            # index into the table, -1 before the first trade
    cdef readonly TickBuffer ticks
    cdef readonly BarSeries primary
    cdef readonly BarSeries micro       # without pv, p2v and large_volume
    cdef readonly SessionLevels levels
    cdef readonly Footprint footprint   # of the open primary bar
    cdef readonly Timeframes timeframes
    cdef readonly Confluence confluence
    cdef readonly OrderFlow order_flow
    cdef readonly OptionsState options
    cdef TierRanker _tiers
    cdef BarBuilder _builder
    cdef BarBuilder _micro_builder
    cdef Resampler _ready_made          # ready-made bars to primary bars
    cdef PhaseRings _volume_ref
    cdef PhaseRings _atr_ref
    cdef PhaseRings _micro_volume_ref
    cdef PatternMemory _patterns
    cdef BattleNavale _navale
    cdef RegimeClassifier _regime
    cdef Evidence _evidence
    cdef Setups _setups
    cdef OptionsInput _options
    cdef int64_t _last_price            # of the tick rule
    cdef int _tick_sign
    cdef bint _has_last
    cdef int64_t _last_ts               # time of the newest accepted trade
    cdef int64_t _session_trades        # accepted in this session
    cdef int64_t _gap_since             # newest hole in the trades, ns UTC, 0 without one
    cdef int64_t _gap_until             # bars that open before it are incomplete
    cdef bint _has_gap                  # trades of this session are missing
    cdef Py_ssize_t _whole              # bars since the hole that miss nothing
    cdef int64_t _pattern_hit[4]        # patterns whose bar closed in the open primary bar
    cdef int64_t _contract
    cdef int64_t _next_contract
    cdef int64_t _next_settle           # of that contract, ns UTC, 0 unknown
    cdef Row[::1] _rows
    cdef object _rows_memory            # the same, read-only from Python
    cdef Py_ssize_t _n_rows             # rows not yet taken
    cdef Py_ssize_t _newest             # slot of the newest row, -1 before the first
    cdef int64_t _events                # of the running call
    cdef int64_t _pending_ts            # trade that on_trade has not applied
    cdef int32_t _pending_price
    cdef int32_t _pending_size
    cdef int8_t _pending_side
    cdef bint _has_pending
    cdef bint _busy                     # a batch runs without the GIL
    cdef public bint record             # keep every row until it is taken
    cdef public int64_t wake            # events that end a batch
    cdef int64_t _reasons[3]            # closes by row.reason
    cdef readonly int64_t rejected      # trades or bars refused since the start
    cdef readonly int64_t accepted      # trades applied since the start

    cdef Py_ssize_t _apply(
        self,
        const int64_t* ts,
        const int32_t* price,
        const int32_t* size,
        const int8_t* side,
        Py_ssize_t start,
        Py_ssize_t stop,
    ) except -1 nogil
    cdef int _take(
        self,
        const int64_t* ts,
        const int32_t* price,
        const int32_t* size,
        const int8_t* side,
        Py_ssize_t start,
        Py_ssize_t stop,
    ) except -1 nogil
    cdef int _run_micro(self, Py_ssize_t n) except -1 nogil
    cdef void _close_micro(self, const Bar* bar) noexcept nogil
    cdef int _begin_session(self, int64_t ts) except -1 nogil
    cdef int _end_session(self) except -1 nogil
    cdef int _close(self, Bar* bar) except -1 nogil
    cdef void _infer_sides(
        self, const int32_t* price, int8_t* side, Py_ssize_t n
    ) noexcept nogil
    cdef void _open_gap(self) noexcept nogil
    cdef bint _misses_rth(self, int64_t k) noexcept nogil
    cdef void _doubt(self, Row* row) noexcept nogil
    cdef void _forget_options(self) noexcept nogil
