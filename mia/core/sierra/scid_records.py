"""Records of Sierra Chart intraday files, `.scid`, as bytes and as columns.

A header of 56 bytes, then records of 40 (`mia._fast.scid`). Times are milliseconds with a
counter in the last three digits: `ts_event` keeps the millisecond and `seq` the counter.
"""

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mia._fast import scid as kernel
from mia.errors import FormatError

MAGIC = b"SCID"
HEADER = struct.Struct("<4sIIHHI36s")
RECORD_BYTES = 40
VERSION = 1

RECORD_DTYPE = np.dtype(
    [
        ("time", "<i8"),
        ("open", "<f4"),
        ("high", "<f4"),
        ("low", "<f4"),
        ("close", "<f4"),
        ("trades", "<u4"),
        ("volume", "<u4"),
        ("bid_volume", "<u4"),
        ("ask_volume", "<u4"),
    ]
)
EPOCH_US = 25_569 * 86_400 * 1_000_000
"""Microseconds from 1899-12-30, from which the records count, to 1970."""

EARLIEST_US, LATEST_US = 3_100_000_000_000_000, 6_400_000_000_000_000
FIRST_BITS, LAST_BITS = 0xFD709EF9, 0xFD709F01

UNBUNDLED_FIRST, UNBUNDLED_LAST = 1, 2
BAR = 0x100
OFF_GRID = 0x200
BAD_TIME = 0x400
UNREADABLE = {
    BAD_TIME: "the time is not one of this century",
    0x800: "the price is no number or 0",
    0x1000: "the size does not fit 31 bits",
}
ANY_UNREADABLE = sum(UNREADABLE)
NO_TRADE = BAR | ANY_UNREADABLE
DECODED = (
    "ts_event",
    "seq",
    "price",
    "size",
    "aggressor_side",
    "bid_price",
    "ask_price",
    "flags",
)


def first_record(head: bytes, name: str) -> int:
    """Check the header of a file and return the byte at which its records begin.

    Parameters
    ----------
    head : bytes
        The first bytes of the file, `HEADER.size` of them if it has so many.
    name : str
        Of the file, for messages.

    Raises
    ------
    FormatError
        If it is not the header of a `.scid` file of the version known here.
    """
    if head[:4] != MAGIC[: len(head)] or len(head) < len(MAGIC):
        raise FormatError(f"{name} is no .scid file: it begins with {head[:8]!r}, not 'SCID'")
    if len(head) < HEADER.size:
        raise FormatError(f"{name}: its header of {HEADER.size} bytes ends after {len(head)}")
    _, header_bytes, record_bytes, version, _, _, _ = HEADER.unpack(head)
    if record_bytes != RECORD_BYTES or version != VERSION or header_bytes < HEADER.size:
        raise FormatError(
            f"{name}: header of {header_bytes} bytes, records of {record_bytes}, version "
            f"{version}; known are {HEADER.size}, {RECORD_BYTES} and {VERSION}"
        )
    return int(header_bytes)


def is_bar(records: NDArray[np.void]) -> NDArray[np.bool_]:
    """Tell the records that are bars or aggregates from those of single trades."""
    bits = np.ascontiguousarray(records["open"]).view("<u4")
    one_trade = ((bits & 0x7FFFFFFF) == 0) | (bits == FIRST_BITS) | (bits == LAST_BITS)
    both = (records["bid_volume"] > 0) & (records["ask_volume"] > 0)
    out: NDArray[np.bool_] = ~one_trade | (records["trades"] > 1) | both
    return out


def is_sane_time(records: NDArray[np.void]) -> NDArray[np.bool_]:
    """Tell the records whose time lies between 1998 and 2102."""
    out: NDArray[np.bool_] = (records["time"] >= EARLIEST_US) & (records["time"] <= LATEST_US)
    return out


def check_times(records: NDArray[np.void], name: str) -> None:
    """Check that the times of a sample are those of a current version of Sierra Chart.

    Raises
    ------
    FormatError
        If none is.
    """
    if is_sane_time(records).any():
        return
    days = np.ascontiguousarray(records["time"]).view("<f8")
    if np.median((days > 20_000.0) & (days < 80_000.0)) == 1.0:
        raise FormatError(
            f"{name} counts time in days as older versions of Sierra Chart did: "
            "let a current version download the data again"
        )
    raise FormatError(
        f"{name}: none of {len(records)} records looked at has a time between 1998 and 2102"
    )


@dataclass(slots=True)
class ScidColumns:
    """Records as the kernel decodes them, in the order of the kernel's arguments.

    Attributes
    ----------
    ts_event : ndarray of int64
        The millisecond, ns UTC.
    seq : ndarray of int32
        Count within the millisecond.
    price, bid_price, ask_price : ndarray of int32
        Ticks.
    size : ndarray of int32
        Contracts.
    aggressor_side : ndarray of int8
        +1 buyer, -1 seller, 0 unknown.
    flags : ndarray of uint16
        As `mia._fast.scid.decode` sets them.
    row : ndarray of int64
        Number of the record in its file.
    """

    ts_event: NDArray[np.int64]
    seq: NDArray[np.int32]
    price: NDArray[np.int32]
    size: NDArray[np.int32]
    aggressor_side: NDArray[np.int8]
    bid_price: NDArray[np.int32]
    ask_price: NDArray[np.int32]
    flags: NDArray[np.uint16]
    row: NDArray[np.int64]

    @classmethod
    def empty(cls, n: int, start: int) -> "ScidColumns":
        """Allocate columns for `n` records, the first of which has number `start`."""
        return cls(
            np.empty(n, np.int64),
            np.empty(n, np.int32),
            np.empty(n, np.int32),
            np.empty(n, np.int32),
            np.empty(n, np.int8),
            np.empty(n, np.int32),
            np.empty(n, np.int32),
            np.empty(n, np.uint16),
            np.arange(start, start + n, dtype=np.int64),
        )

    @classmethod
    def decode(cls, data: bytes, start: int, ticks_per_unit: float) -> "ScidColumns":
        """Decode whole records, the first of which has number `start` in its file."""
        columns = cls.empty(len(data) // RECORD_BYTES, start)
        columns.fill(data, slice(None), ticks_per_unit)
        return columns

    def fill(self, data: bytes | memoryview, rows: slice, ticks_per_unit: float) -> None:
        """Decode records into some of the rows."""
        kernel.decode(data, ticks_per_unit, *(column[rows] for column in self._named(DECODED)))

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.row)

    def complete_rows(self) -> int:
        """Count the rows before an unbundled trade whose last part is not there."""
        return kernel.complete_rows(self.ts_event, self.flags)

    def merge(self) -> int:
        """Sum the parts of unbundled trades; return how many had no last part."""
        n, broken = kernel.merge_unbundled(len(self.row), *self._named((*DECODED, "row")))
        self.take(slice(n))
        return broken

    def selected(self, rows: NDArray[np.bool_]) -> "ScidColumns":
        """Return some of the rows as new columns."""
        names = (*DECODED, "row")
        return ScidColumns(**{name: getattr(self, name)[rows] for name in names})

    def take(self, which: slice | NDArray[np.bool_]) -> None:
        """Keep some of the rows."""
        for name in (*DECODED, "row"):
            setattr(self, name, getattr(self, name)[which])

    def _named(self, names: tuple[str, ...]) -> list[Any]:
        return [getattr(self, name) for name in names]
