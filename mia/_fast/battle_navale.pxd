"""Battle Navale of one stream; battle_navale.pyx tells how it is fought."""

from libc.stdint cimport int64_t

from mia._fast.records cimport Bar, Battle, Params


cdef enum:
    HISTORY = 20


cdef struct Base:               # a box of bars, prices in ticks
    int64_t low
    int64_t high
    int64_t bars                # its length
    int64_t end                 # index of its last bar
    int64_t direction           # forming colour; colour of the launch once launched
    int64_t launch              # index of the launch bar, -1 before
    double quality              # q at detection, in [0, 1]


cdef class BattleNavale:
    cdef Params _p
    cdef Base _candidate        # meaningful if _has_candidate
    cdef bint _has_candidate
    cdef Base _active           # meaningful if _has_active
    cdef bint _has_active
    cdef int64_t _last_launch   # index of the most recent launch bar, 0 at session start
    cdef int64_t _violation     # direction of the running violation, 0 without one
    cdef int64_t _age           # bars since it began
    cdef int64_t _status        # raw BattleStatus of the previous bar, -1 before the first
    cdef Base _history[20]      # accepted bases, slot = launches % HISTORY
    cdef int64_t _launches      # accepted in this session

    cdef void reset(self) noexcept nogil
    cdef void update(
        self, const Bar* last, Py_ssize_t count, double atr, double vol_ref,
        double up_strength, double down_strength, Battle* out,
    ) noexcept nogil
    cdef bint _watch(self, const Bar* bar, int64_t index, Battle* out) noexcept nogil
    cdef bint _launch(self, const Bar* bar, int64_t index, Battle* out) noexcept nogil
    cdef void _golden(self, bint warning, Battle* out) noexcept nogil
    cdef void _score(self, double up, double down, Battle* out) noexcept nogil
    cdef void _report(self, Battle* out) noexcept nogil
