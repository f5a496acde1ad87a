"""Sierra Chart records decoded one by one with the struct module."""

import math
import struct
from dataclasses import dataclass

RECORD = struct.Struct("<q4f4I")
OPEN = struct.Struct("<f")
EPOCH_US = 25569 * 86400 * 10**6
MISSING = -(2**31)
FIRST, LAST, BAR, OFF_GRID, BAD_TIME, BAD_PRICE, BAD_SIZE = 1, 2, 256, 512, 1024, 2048, 4096
GROUP_NS = 10_000_000


@dataclass
class Trade:
    ts_event: int
    seq: int
    price: int
    size: int
    aggressor_side: int
    bid_price: int
    ask_price: int
    flags: int
    row: int


def to_ticks(price, per_unit):
    scaled = price * per_unit
    if not math.isfinite(scaled) or abs(scaled) >= 2**31 - 1:
        return MISSING, False
    whole = round(scaled)
    return whole, abs(scaled - whole) < 1e-3


def decode_record(data, per_unit, row=0):
    time, _, high, low, close, trades, volume, bid_volume, ask_volume = RECORD.unpack(data)
    bits = int.from_bytes(data[8:12], "little")
    flags = {0: 0, 0x80000000: 0, 0xFD709EF9: FIRST, 0xFD709F01: LAST}.get(bits, BAR)
    if trades > 1 or (bid_volume and ask_volume):
        flags |= BAR
    unix_us = 0
    if 3.1e15 <= time <= 6.4e15:
        unix_us = time - EPOCH_US
    else:
        flags |= BAD_TIME
    price, exact = to_ticks(close, per_unit)
    if price in (MISSING, 0):
        flags |= BAD_PRICE
    elif not exact:
        flags |= OFF_GRID
    bid = to_ticks(low, per_unit)[0] if low > 0 else MISSING
    ask = to_ticks(high, per_unit)[0] if high > 0 else MISSING
    if volume >= 2**31:
        flags |= BAD_SIZE
        volume = 0
    side = (ask_volume > 0) - (bid_volume > 0)
    millisecond, count = divmod(unix_us, 1000)
    return Trade(millisecond * 10**6, count, price, volume, side, bid, ask, flags, row)


def decode(data, per_unit):
    step = RECORD.size
    return [
        decode_record(data[i * step : (i + 1) * step], per_unit, i)
        for i in range(len(data) // step)
    ]


def same_order(trade, began):
    return not trade.flags & FIRST and 0 <= trade.ts_event - began <= GROUP_NS


def complete_rows(trades):
    begin = None
    for i, trade in enumerate(trades):
        if begin is not None and not same_order(trade, trades[begin].ts_event):
            begin = None
        if trade.flags & FIRST:
            begin = i
        if trade.flags & LAST:
            begin = None
    return len(trades) if begin is None else begin


def merge_unbundled(trades):
    """Return the summed trades and the number of orders without a last part."""
    out, broken, began = [], 0, None
    for trade in trades:
        if began is not None and not same_order(trade, began):
            began = None
            broken += 1
        previous = out[-1] if out else None
        if (
            began is not None
            and (previous.price, previous.aggressor_side) == (trade.price, trade.aggressor_side)
            and not (previous.flags | trade.flags) & OFF_GRID
            and previous.size + trade.size < 2**31
        ):
            previous.size += trade.size
            previous.flags |= trade.flags
        else:
            out.append(Trade(**vars(trade)))
        if trade.flags & FIRST:
            began = trade.ts_event
        if trade.flags & LAST:
            began = None
    return out, broken + (began is not None)
