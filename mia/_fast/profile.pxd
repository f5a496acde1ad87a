"""C interface of the market profile, and rows of volume by price."""

from libc.stdint cimport int64_t

from mia._fast.records cimport Bar, Params


cdef enum:
    LOT_SHIFT = 20              # a row's unit is 2 ** -20 lot


cdef struct PriceRows:          # one or more integers per tick of price
    int64_t* data               # capacity * columns values; all outside [low, high] are 0
    int64_t base                # price of row 0
    int64_t capacity            # rows
    int64_t columns             # values a row
    int64_t low                 # lowest touched price; low > high while empty
    int64_t high


cdef int rows_init(PriceRows* rows, int64_t capacity, int64_t columns) except -1 nogil
cdef void rows_free(PriceRows* rows) noexcept nogil
cdef void rows_clear(PriceRows* rows) noexcept nogil
cdef int rows_cover(PriceRows* rows, int64_t low, int64_t high) except -1 nogil


cdef class Profile:
    cdef PriceRows _rows        # volume in units of 2 ** -LOT_SHIFT lot
    cdef int64_t _total         # sum of all rows
    cdef int64_t _most          # largest row
    cdef int64_t _largest       # its price, meaningful while _most is above 0
    cdef bint _tied             # another row is as large
    cdef readonly int64_t poc   # after `evaluate`, ticks
    cdef readonly int64_t val
    cdef readonly int64_t vah
    cdef Params _p
    cdef double[::1] _nodes     # prices of high-volume nodes after find_hvn
    cdef int64_t[::1] _smooth   # scratch: smoothed rows

    cpdef void reset(self) noexcept nogil
    cdef void _note(self, int64_t low, int64_t high) noexcept nogil
    cdef bint empty(self) noexcept nogil
    cdef int add_prints(self, const PriceRows* prints) except -1 nogil
    cdef int add_range(self, const Bar* bar) except -1 nogil
    cdef void evaluate(self) noexcept nogil
    cdef Py_ssize_t find_hvn(self) except -1 nogil
    cdef Py_ssize_t _nodes_of(self, bint high, double* out, Py_ssize_t room) noexcept nogil
