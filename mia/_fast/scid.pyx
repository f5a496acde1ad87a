"""Sierra Chart intraday records, decoded into columns.

A record has 40 bytes, little endian: int64 microseconds since 1899-12-30 UTC, float32 open,
high, low, close, uint32 trades, volume, bid volume, ask volume. In a record of one trade high
is the ask, low the bid and close the price; open is 0 or one of two marks. The last three
digits of the time count the records of a millisecond.
"""

from libc.math cimport NAN, fabs, rint
from libc.stdint cimport int8_t, int32_t, int64_t, uint16_t, uint32_t
from libc.string cimport memcpy


cdef packed struct Record:
    int64_t time
    float open
    float high
    float low
    float close
    uint32_t trades
    uint32_t volume
    uint32_t bid_volume
    uint32_t ask_volume


cdef enum:
    RECORD_BYTES = 40
    FIRST = 1                   # the first two as in mia.data.raw.TradeFlag
    LAST = 2
    BAR = 0x100
    OFF_GRID = 0x200
    BAD_TIME = 0x400
    BAD_PRICE = 0x800
    BAD_SIZE = 0x1000
    FIRST_BITS = 0xFD709EF9     # -1.99900095e37 as float32
    LAST_BITS = 0xFD709F01      # -1.99900197e37
    NOT_ZERO = 0x7FFFFFFF       # all but the sign of a float32

cdef int64_t EPOCH_US = 25569LL * 86400 * 1000000
cdef int64_t EARLIEST_US = 3100000000000000LL     # 1998
cdef int64_t LATEST_US = 6400000000000000LL       # 2102
cdef double MOST_TICKS = 2147483647.0
cdef int32_t MISSING = -2147483648
cdef int64_t GROUP_NS = 10000000              # parts of one order lie closer


cdef inline int32_t _ticks(double price, double per_unit, bint* exact) noexcept nogil:
    """Round a price to ticks; MISSING and not exact if it is none."""
    cdef double scaled = price * per_unit
    cdef double whole
    if not fabs(scaled) < MOST_TICKS:
        exact[0] = False
        return MISSING
    whole = rint(scaled)
    exact[0] = fabs(scaled - whole) < 1e-3
    return <int32_t>whole


cdef inline bint _same_order(int64_t ts_event, int64_t began, uint16_t flag) noexcept nogil:
    """Tell whether a row can belong to the order that began at a time."""
    return flag & FIRST == 0 and 0 <= ts_event - began <= GROUP_NS


def decode(
    const unsigned char[::1] records not None,
    double ticks_per_unit,
    int64_t[::1] ts_event not None,
    int32_t[::1] seq not None,
    int32_t[::1] price not None,
    int32_t[::1] size not None,
    int8_t[::1] aggressor_side not None,
    int32_t[::1] bid_price not None,
    int32_t[::1] ask_price not None,
    uint16_t[::1] flags not None,
):
    """Decode whole records of single trades into columns.

    Parameters
    ----------
    records : bytes-like
        Record after record; a partial one at the end is left out.
    ticks_per_unit : float
        4.0 for prices in points, 0.04 for prices in hundredths.
    ts_event : ndarray of int64
        Receives the millisecond, ns UTC.
    seq : ndarray of int32
        Receives the count within the millisecond.
    price, bid_price, ask_price : ndarray of int32
        Receive ticks; -2**31 where there is none.
    size : ndarray of int32
        Receives contracts.
    aggressor_side : ndarray of int8
        Receives -1 where all was traded at the bid, +1 at the ask, else 0.
    flags : ndarray of uint16
        Receives 1 for the first and 2 for the last part of an unbundled trade, 0x100 for a bar
        or an aggregate, 0x200 for a price off the grid, 0x400, 0x800, 0x1000 for a time, a
        price or a size that cannot be; the other columns then hold no meaning.

    Returns
    -------
    int
        Number of records decoded.

    Raises
    ------
    ValueError
        If a column is too short or the scale is not positive.
    """
    cdef Py_ssize_t n = records.shape[0] // RECORD_BYTES
    cdef Py_ssize_t room = min(
        ts_event.shape[0], seq.shape[0], price.shape[0], size.shape[0],
        aggressor_side.shape[0], bid_price.shape[0], ask_price.shape[0], flags.shape[0],
    )
    if room < n:
        raise ValueError(f"columns must hold at least {n} records, the shortest holds {room}")
    if not ticks_per_unit > 0.0:
        raise ValueError(f"ticks_per_unit must be positive, was {ticks_per_unit}")
    if n == 0:
        return 0

    cdef const unsigned char* source = &records[0]
    cdef Record record
    cdef uint32_t open_bits = 0
    cdef int64_t unix_us, count
    cdef uint16_t flag
    cdef bint exact = False
    cdef Py_ssize_t i
    with nogil:
        for i in range(n):
            # A copy, since nothing aligns the first record in its file.
            memcpy(&record, source + i * RECORD_BYTES, RECORD_BYTES)
            memcpy(&open_bits, &record.open, 4)
            flag = 0
            if open_bits & NOT_ZERO:
                if open_bits == FIRST_BITS:
                    flag = FIRST
                elif open_bits == LAST_BITS:
                    flag = LAST
                else:
                    flag = BAR
            if record.trades > 1 or (record.bid_volume > 0 and record.ask_volume > 0):
                flag |= BAR

            unix_us = 0
            if EARLIEST_US <= record.time <= LATEST_US:
                unix_us = record.time - EPOCH_US
            else:
                flag |= BAD_TIME
            count = unix_us % 1000
            ts_event[i] = (unix_us - count) * 1000
            seq[i] = <int32_t>count

            price[i] = _ticks(record.close, ticks_per_unit, &exact)
            if price[i] == MISSING or price[i] == 0:
                flag |= BAD_PRICE
            elif not exact:
                flag |= OFF_GRID
            bid_price[i] = _ticks(record.low if record.low > 0 else NAN, ticks_per_unit, &exact)
            ask_price[i] = _ticks(record.high if record.high > 0 else NAN, ticks_per_unit, &exact)

            if record.volume > <uint32_t>0x7FFFFFFF:
                flag |= BAD_SIZE
                size[i] = 0
            else:
                size[i] = <int32_t>record.volume
            aggressor_side[i] = (record.ask_volume > 0) - (record.bid_volume > 0)
            flags[i] = flag
    return n


def complete_rows(const int64_t[::1] ts_event not None, const uint16_t[::1] flags not None):
    """Count the rows before an unbundled trade whose last part has not come yet.

    Parameters
    ----------
    ts_event, flags : ndarray
        Columns as `decode` fills them, without unreadable rows and bars.

    Returns
    -------
    int
        Row of its first part; the number of rows if there is no such trade.

    Raises
    ------
    ValueError
        If the columns differ in length.
    """
    cdef Py_ssize_t n = ts_event.shape[0]
    if flags.shape[0] != n:
        raise ValueError(f"columns must be equally long, were {n} and {flags.shape[0]}")
    cdef Py_ssize_t i
    cdef Py_ssize_t begin = -1
    with nogil:
        for i in range(n):
            if begin >= 0 and not _same_order(ts_event[i], ts_event[begin], flags[i]):
                begin = -1
            if flags[i] & FIRST:
                begin = i
            if flags[i] & LAST:
                begin = -1
    return n if begin < 0 else begin


def merge_unbundled(
    Py_ssize_t n,
    int64_t[::1] ts_event not None,
    int32_t[::1] seq not None,
    int32_t[::1] price not None,
    int32_t[::1] size not None,
    int8_t[::1] aggressor_side not None,
    int32_t[::1] bid_price not None,
    int32_t[::1] ask_price not None,
    uint16_t[::1] flags not None,
    int64_t[::1] row not None,
):
    """Sum the parts of unbundled trades, in place.

    The parts from a first to a last one are one order. Neighbours of one price and side among
    them become one trade with the time, quote and row of the earliest. A part later by more
    than 10 ms, or another first, ends an order whose last part is missing; a part without a
    first stands alone, and so does a price off the grid.

    Parameters
    ----------
    n : int
        Number of rows to read.
    ts_event, seq, price, size, aggressor_side, bid_price, ask_price, flags : ndarray
        Columns as `decode` fills them, without unreadable rows and bars.
    row : ndarray of int64
        Number of each row in its file.

    Returns
    -------
    tuple of int
        Rows written, and orders that had no last part.

    Raises
    ------
    ValueError
        If a column is shorter than `n`.
    """
    cdef Py_ssize_t room = min(
        ts_event.shape[0], seq.shape[0], price.shape[0], size.shape[0],
        aggressor_side.shape[0], bid_price.shape[0], ask_price.shape[0], flags.shape[0],
        row.shape[0],
    )
    if n < 0 or room < n:
        raise ValueError(f"columns must hold at least {n} rows, the shortest holds {room}")
    cdef Py_ssize_t i
    cdef Py_ssize_t out = 0             # rows written, never more than read
    cdef Py_ssize_t broken = 0
    cdef bint is_open = False
    cdef bint fits
    cdef int64_t began = 0
    cdef uint16_t flag
    with nogil:
        for i in range(n):
            flag = flags[i]
            if is_open and not _same_order(ts_event[i], began, flag):
                is_open = False
                broken += 1
            fits = (
                is_open and price[i] == price[out - 1]
                and aggressor_side[i] == aggressor_side[out - 1]
                and (flag | flags[out - 1]) & OFF_GRID == 0
                and <int64_t>size[out - 1] + size[i] <= 0x7FFFFFFF
            )
            if fits:
                size[out - 1] += size[i]
                flags[out - 1] |= flag
            else:
                ts_event[out] = ts_event[i]
                seq[out] = seq[i]
                price[out] = price[i]
                size[out] = size[i]
                aggressor_side[out] = aggressor_side[i]
                bid_price[out] = bid_price[i]
                ask_price[out] = ask_price[i]
                flags[out] = flag
                row[out] = row[i]
                out += 1
            if flag & FIRST:
                is_open = True
                began = ts_event[out - 1]
            if flag & LAST:
                is_open = False
        broken += is_open
    return out, broken
