"""C interface of the options state: one snapshot of the chain, refreshed at every close."""

from libc.stdint cimport int64_t

from mia._fast.hedge_flow cimport HedgeFlow
from mia._fast.records cimport Bar, OptionsInput, Params, Session


cdef enum:
    PROFILE_LEVELS = 121


cdef struct Snapshot:           # what one chain says; index points unless said
    int64_t effective           # closes from here on know it, ns UTC
    int64_t asof                # time from which the age of the quotes counts
    int64_t delayed             # 1 if the source delivers with a delay
    int64_t evening_from        # outside RTH the quotes serve from here, 0 never
    int64_t evening_until       # to here
    int64_t oi_until[3]         # when the factor of the open interest falls to 0.5, 0.2, 0
    int64_t session_id          # session of the quotes
    int64_t quarter_settle[4]   # of the quarterlies with a forward, nearest first, ns UTC, 0 none
    double chain_quality        # q_chain without the check against ES
    double zero_dte_share       # of gross gamma that expires in the session of the quotes
    double spot                 # S of put-call parity
    double quarter_carry[4]     # ln(F/S) per year of 365 days to each of them
    double expected_move        # EM
    double gex                  # USD per 1 %
    double cex                  # USD per calendar day
    double vex                  # USD per vol point
    double flip                 # nan if none
    double call_wall
    double put_wall
    double gamma_ratio          # F9 before q, nan invalid
    double skew                 # F13 before q
    double term                 # F14 of the chain before q
    double profile_low          # lowest level of the profile
    double profile_step
    double profile[121]         # USD per 1 % at each level


cdef class OptionsState:
    cdef double _half_life_ns           # of the basis
    cdef double _max_error              # of the basis against the carry model, points
    cdef bint active                    # chains are expected or were given: volume is counted
    cdef bint _fed                      # chains or VIX were given: the output is of this class
    cdef readonly bint has_snapshot
    cdef Snapshot _snapshot
    cdef Snapshot[::1] _queue           # not yet effective, ascending
    cdef Py_ssize_t _first              # of the queue
    cdef Py_ssize_t _last               # one beyond its end
    cdef int64_t _contract_settle       # of the ES contract, ns UTC, 0 unknown
    cdef int64_t _settle                # to which the carry below holds
    cdef double _carry                  # of the snapshot for the contract, nan unknown
    cdef bint _es_agrees                # S of the snapshot agrees with ES
    cdef double _ema                    # basis, nan before the first sample of the contract
    cdef int64_t _ema_at                # quote time of its newest sample
    cdef int64_t _ema_session           # session of that sample
    cdef int64_t _vix_at                # older of the times of VIX and VIX3M, 0 without
    cdef int64_t _vix_known             # newer of them
    cdef double _vix_term               # ln(VIX/VIX3M)
    cdef HedgeFlow _hedging
    cdef readonly double spot           # S at the newest close, nan unknown
    cdef readonly double basis          # ES less S, points
    cdef readonly double quality        # q
    cdef readonly double gex            # USD per 1 % at S, from the profile
    cdef readonly double flow           # x of F12, nan unknown

    cdef void end_session(self, const Session* ended) noexcept nogil
    cdef void change_contract(self, int64_t settle) noexcept nogil
    cdef void refresh(
        self,
        const Bar* last,
        Py_ssize_t count,
        const Session* session,
        OptionsInput* out,
    ) noexcept nogil
    cdef void _take(
        self, const Snapshot* snapshot, const Bar* last, Py_ssize_t count, const Session* session
    ) noexcept nogil
    cdef void _choose_carry(self) noexcept nogil
    cdef double _model_basis(self, double es, int64_t now) noexcept nogil
    cdef double _basis(self, double es, int64_t now, const Session* session) noexcept nogil
    cdef double _quality(self, int64_t now, const Session* session) noexcept nogil
    cdef void _evaluate(
        self, int64_t now, const Session* session, OptionsInput* out
    ) noexcept nogil
