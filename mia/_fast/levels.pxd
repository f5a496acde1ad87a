"""What a level of the market is worth, and how levels add up."""

from libc.stdint cimport int64_t

from mia._fast.records cimport Params


cdef enum LevelKind:            # in the order of LEVEL_KINDS
    CALL_WALL
    PUT_WALL
    GAMMA_FLIP
    POC
    VAH
    VAL
    HVN
    VWAP
    VWAP_SD1
    VWAP_SD2
    PREV_POC
    PREV_VAH
    PREV_VAL
    SESSION_HIGH
    SESSION_LOW
    OVERNIGHT_HIGH
    OVERNIGHT_LOW
    ROUND_25
    ROUND_100
    N_KINDS


cdef enum Family:               # at most conf.family_cap levels of one count in a sum
    OPTIONS
    PROFILE
    VWAPS
    PREVIOUS
    SESSION
    OVERNIGHT
    ROUND


cdef enum Grade:
    WEAK
    MODERATE
    STRONG
    EXTREME


cdef struct Level:
    int64_t kind                # LevelKind
    int64_t family              # Family
    double price                # ES ticks
    double weight               # of its kind
    double strength             # of its kind
    double w                    # weight * strength * age * touches * quality of the options
    int64_t touches             # RTH bars that came to it, 0 for a moving level


cdef struct Zone:
    double low                  # lowest and highest price of all its levels
    double high
    double centre               # mean of the counted levels by weight
    double score                # in [0, 1]
    int64_t kinds               # distinct kinds among the counted levels
    int64_t counted             # levels within the family cap
    int64_t grade               # Grade


cdef struct Scratch:            # room for as many entries as there are levels
    int64_t* order              # levels near the close; for zones ascending by price
    double* terms               # of a price score, for the levels in `order`


cdef void weigh(
    Level* level, int64_t kind, double price, double age, int64_t touches, double quality
) noexcept nogil
cdef double score_price(
    const Level* levels, Py_ssize_t n, double close, double atr, const Params* p, Scratch scratch
) noexcept nogil
cdef Py_ssize_t build_zones(
    const Level* levels, Py_ssize_t n, double close, double atr, const Params* p,
    Scratch scratch, Zone* zones,
) noexcept nogil
