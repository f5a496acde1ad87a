"""Checks of raw trades and bars: clean columns in ticks, and the rows that failed with reasons."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mia.config.instruments import TICK, instrument
from mia.core import sessions
from mia.core.base_types import MISSING_PRICE
from mia.data.contracts import parse_contract
from mia.data.raw import RawBars, RawTrades, SourceFormat, TradeFlag, source_rows
from mia.data.schema import KINDS, Column, Columns
from mia.errors import DataError

GRID_TOLERANCE = 1e-6
INT32_MAX = 2**31 - 1
REJECTED, DROPPED, REPAIRED = "rejected", "dropped", "repaired"
CLEAN = ""
MAX_ISSUES = 10_000

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Issue:
    """A source row that was not taken as it was.

    Attributes
    ----------
    row : int
        Line or record number in the source.
    action : str
        ``rejected``, ``dropped`` (a bar without volume) or ``repaired``.
    reason : str
        What was wrong.
    values : str
        The raw values, ``name=value`` separated by spaces.
    """

    row: int
    action: str
    reason: str
    values: str


@dataclass(slots=True)
class Checked:
    """What a check left of a block.

    Attributes
    ----------
    contract : str
        Of the block.
    columns : dict of ndarray
        Clean rows by name of the stored column, and `row`, their number in the source.
    session_ids : ndarray of int64
        Trade date of each clean row.
    counts : Counter
        Rows that are not among the clean ones, or were changed, by action and reason.
    issues : list of Issue
        Those rows, at most `MAX_ISSUES` of them: a file of another price scale must not fill the
        disk with its description.
    """

    contract: str
    columns: Columns
    session_ids: NDArray[np.int64]
    counts: Counter[tuple[str, str]]
    issues: list[Issue]


class _Verdict:
    """The first reason against each row."""

    def __init__(self, count: int) -> None:
        self.reasons: list[tuple[str, str]] = [(CLEAN, CLEAN)]
        self.codes = np.zeros(count, np.int16)

    def against(self, bad: Mask, reason: str, action: str = REJECTED) -> None:
        fresh = bad & (self.codes == 0)
        if fresh.any():
            self.reasons.append((action, reason))
            self.codes[fresh] = len(self.reasons) - 1

    def open(self) -> Mask:
        return np.equal(self.codes, 0)

    def counts(self) -> Counter[tuple[str, str]]:
        found = np.bincount(self.codes, minlength=len(self.reasons)).tolist()
        return Counter({reason: n for reason, n in zip(self.reasons, found, strict=True) if n})

    def issues(self, rows: NDArray[np.int64], raw: Columns) -> list[Issue]:
        out = []
        for k in np.flatnonzero(self.codes)[:MAX_ISSUES]:
            action, reason = self.reasons[self.codes[k]]
            values = " ".join(f"{name}={column[k]}" for name, column in raw.items())
            out.append(Issue(int(rows[k]), action, reason, values))
        return out


def validate_trades(raw: RawTrades, source_format: SourceFormat = SourceFormat.UNKNOWN) -> Checked:
    """Check trades row by row and convert their prices to ticks.

    A trade is rejected if its price is no number, off the grid by more than 1e-6 tick, or not
    plausible; if its size is not positive; if it is indicative; if its time is outside the
    calendar, on a day on which the market is closed, or after the contract's last session. A
    quote that is off the grid or crossed is forgotten and the trade kept. Order and duplicates
    are a matter of the whole day; see `order_rows`.

    Raises
    ------
    DataError
        If the contract, the kind, or the lengths of the columns are not what they must be.
    """
    count = len(raw)
    _same_length(raw, count)
    if raw.kind not in KINDS:
        raise DataError(f"kind of trades must be summary or fill, was {raw.kind!r}")
    verdict = _Verdict(count)
    ids = _check_times(verdict, raw.contract, raw.ts_event)
    price = _to_ticks(verdict, raw.contract, raw.price, raw.price_scale, "price")
    flags = np.zeros(count, np.uint16) if raw.flags is None else raw.flags
    verdict.against((flags & TradeFlag.INDICATIVE) != 0, "indicative")
    verdict.against(raw.size == 0, "zero_size")
    verdict.against((raw.size < 0) | (raw.size > INT32_MAX), "bad_size")
    verdict.against(np.abs(raw.aggressor_side.astype(np.int64)) > 1, "bad_side")
    quote = _Verdict(count)
    bid = _quote(quote, raw.bid_price, raw.price_scale, count)
    ask = _quote(quote, raw.ask_price, raw.price_scale, count)
    known = (bid != MISSING_PRICE) & (ask != MISSING_PRICE)
    quote.against(known & (bid >= ask), "crossed_quote", REPAIRED)
    forget = quote.codes != 0
    bid[forget] = ask[forget] = MISSING_PRICE

    rows = source_rows(raw)
    values: Columns = {"ts_event": raw.ts_event, "price": raw.price, "size": raw.size}
    quotes = {"bid": raw.bid_price, "ask": raw.ask_price}
    values |= {name: column for name, column in quotes.items() if column is not None}
    quote.codes[~verdict.open()] = 0
    counts, issues = _findings((verdict, quote), rows, values)

    good = verdict.open()
    seq = np.arange(count, dtype=np.int64) if raw.seq is None else raw.seq
    columns: Columns = {
        "ts_event": raw.ts_event[good],
        "seq": (seq[good] & 0xFFFFFFFF).astype(np.uint32),
        "price": price[good],
        "size": raw.size[good].astype(np.int32),
        "aggressor_side": raw.aggressor_side[good].astype(np.int8),
        "bid_price": bid[good],
        "ask_price": ask[good],
        "flags": flags[good].astype(np.uint16),
        "source": np.full(good.sum(), int(source_format), np.uint8),
        "kind": np.full(good.sum(), KINDS.index(raw.kind), np.uint8),
        "row": rows[good],
        "ts_recv": _optional(raw.ts_recv, good, np.int64),
        "bid_size": _optional(raw.bid_size, good, np.int32),
        "ask_size": _optional(raw.ask_size, good, np.int32),
    }
    return Checked(raw.contract, columns, ids[good], counts, issues)


def validate_bars(raw: RawBars) -> Checked:
    """Check ready-made bars and convert their prices to ticks.

    A bar is rejected if a price is no number or off the grid, if high and low do not enclose
    open and close, if a volume is negative, if bid and ask volume exceed the volume by more
    than 0.1 % and one lot (by less: the volume is raised to their sum), if it does not start on
    a slot of its session, or for the reasons of time that reject a trade. A bar without volume
    is dropped.

    Raises
    ------
    DataError
        If the contract, the width, or the lengths of the columns are not what they must be.
    """
    count = len(raw)
    _same_length(raw, count)
    if raw.width_s < 1 or 86400 % raw.width_s:
        raise DataError(f"width of bars must divide a day of 86400 s, was {raw.width_s}")
    zeros = np.zeros(count, np.int64)
    bid = zeros if raw.bid_volume is None else raw.bid_volume
    ask = zeros if raw.ask_volume is None else raw.ask_volume
    trades = zeros if raw.trades is None else raw.trades
    verdict = _Verdict(count)
    ids = _check_times(verdict, raw.contract, raw.t_open)
    prices = {
        name: _to_ticks(verdict, raw.contract, getattr(raw, name), raw.price_scale, name)
        for name in ("open", "high", "low", "close")
    }
    open_, high, low, close = prices.values()
    enclosed = (low <= np.minimum(open_, close)) & (high >= np.maximum(open_, close))
    verdict.against(~enclosed, "high_low")
    verdict.against((raw.volume < 0) | (bid < 0) | (ask < 0) | (trades < 0), "negative_volume")
    verdict.against(raw.volume == 0, "no_volume", DROPPED)
    excess = bid + ask - raw.volume
    verdict.against(excess * 1000 > raw.volume + 1000, "volume_mismatch")
    slot = np.zeros(count, np.int64)
    timely = ids > 0
    slot[timely] = raw.t_open[timely] - sessions.session_opens(raw.t_open[timely])
    verdict.against(slot % (raw.width_s * 1_000_000_000) != 0, "off_slot")

    raised = _Verdict(count)
    raised.against(verdict.open() & (excess > 0), "volume_raised", REPAIRED)
    volume = np.maximum(raw.volume, bid + ask)
    rows = source_rows(raw)
    names = ("t_open", "open", "high", "low", "close", "volume")
    values: Columns = {name: getattr(raw, name) for name in names}
    values |= {"bid_volume": bid, "ask_volume": ask}
    counts, issues = _findings((verdict, raised), rows, values)

    good = verdict.open()
    columns: Columns = {"t_open": raw.t_open[good]}
    columns |= {name: ticks[good] for name, ticks in prices.items()}
    columns |= {
        "volume": volume[good],
        "bid_volume": bid[good],
        "ask_volume": ask[good],
        "trades": trades[good],
        "row": rows[good],
        "front": _absent(good, np.bool_),
    }
    if raw.front is not None:
        columns["front"] = np.ma.MaskedArray(raw.front[good], False)
    return Checked(raw.contract, columns, ids[good], counts, issues)


def order_rows(
    columns: Columns, time: str, unique: tuple[str, ...]
) -> tuple[Columns, Columns, int]:
    """Sort the rows of a day by time and take repeated ones out.

    Rows of equal time keep the order in which they came.

    Parameters
    ----------
    columns : dict of ndarray
        Rows of one day.
    time : str
        The column to sort by.
    unique : tuple of str
        Columns that no two rows share; none: rows are not compared.

    Returns
    -------
    kept, repeated : dict of ndarray
        Of rows that share the key the last one is kept: a source that writes a row again means
        the newer one.
    late : int
        Rows whose time was before that of an earlier row.
    """
    times = columns[time]
    late = int((times < np.maximum.accumulate(times)).sum()) if len(times) else 0
    if late:
        order = np.argsort(times, kind="stable")
        columns = {name: column[order] for name, column in columns.items()}
    repeated = np.zeros(len(times), np.bool_)
    if unique and len(times):
        keys = [columns[name] for name in reversed(unique)]
        order = np.lexsort(keys)
        same = np.ones(len(times) - 1, np.bool_)
        for key in keys:
            same &= key[order][1:] == key[order][:-1]
        repeated[order[:-1]] = same
    if not repeated.any():
        return columns, {name: column[:0] for name, column in columns.items()}, late
    kept = {name: column[~repeated] for name, column in columns.items()}
    return kept, {name: column[repeated] for name, column in columns.items()}, late


def _findings(
    verdicts: tuple[_Verdict, ...], rows: NDArray[np.int64], values: Columns
) -> tuple[Counter[tuple[str, str]], list[Issue]]:
    counts: Counter[tuple[str, str]] = Counter()
    issues: list[Issue] = []
    for verdict in verdicts:
        counts += verdict.counts()
        issues += verdict.issues(rows, values)
    del counts[CLEAN, CLEAN]
    return counts, sorted(issues, key=lambda issue: issue.row)


def _same_length(raw: RawTrades | RawBars, count: int) -> None:
    for name in raw.__slots__:
        value = getattr(raw, name)
        if isinstance(value, np.ndarray) and value.shape != (count,):
            raise DataError(f"column {name} of {raw.contract} has {value.size} rows, not {count}")


def _check_times(verdict: _Verdict, contract: str, times: NDArray[np.int64]) -> NDArray[np.int64]:
    """Judge the times; return session ids, 0 where the calendar has none."""
    ids = np.zeros(len(times), np.int64)
    timely = sessions.covered(times)
    verdict.against(~timely, "outside_calendar")
    ids[timely] = sessions.session_ids(times[timely])
    days = np.unique(ids[timely])
    closed = [day for day in days.tolist() if not sessions.is_trading_day(day)]
    verdict.against(np.isin(ids, closed), "closed_day")
    verdict.against(ids > parse_contract(contract).last_session, "after_expiry")
    return ids


def _to_ticks(
    verdict: _Verdict, contract: str, prices: NDArray[np.float64], scale: float, name: str
) -> NDArray[np.int32]:
    limit = instrument(parse_contract(contract).root).price_scale_max
    points = prices * scale
    finite = np.isfinite(points)
    verdict.against(~finite, f"{name}_not_a_number")
    points = np.where(finite, points, 0.0)
    verdict.against((points <= 0) | (points > limit), f"{name}_implausible")
    ticks = np.rint(points / TICK)
    verdict.against(np.abs(points / TICK - ticks) > GRID_TOLERANCE, f"{name}_off_grid")
    return np.clip(ticks, -INT32_MAX, INT32_MAX).astype(np.int32)


def _quote(
    verdict: _Verdict, prices: NDArray[np.float64] | None, scale: float, count: int
) -> NDArray[np.int32]:
    if prices is None:
        return np.full(count, MISSING_PRICE, np.int32)
    ticks = prices * scale / TICK
    known = np.isfinite(ticks)
    rounded = np.rint(np.where(known, ticks, 0.0))
    verdict.against(known & (np.abs(ticks - rounded) > GRID_TOLERANCE), "quote_off_grid", REPAIRED)
    implausible = known & ((rounded <= 0) | (rounded > INT32_MAX))
    verdict.against(implausible, "quote_implausible", REPAIRED)
    return np.where(known & ~implausible, rounded, MISSING_PRICE).astype(np.int32)


def _optional(
    values: NDArray[np.int64] | None, good: Mask, kind: type[np.signedinteger[Any]]
) -> Column:
    if values is None:
        return _absent(good, kind)
    kept = values[good]
    column: Column = np.ma.MaskedArray(kept.astype(kind), kept < 0)
    return column


def _absent(good: Mask, kind: type[np.generic]) -> Column:
    column: Column = np.ma.MaskedArray(np.zeros(int(good.sum()), kind), True)
    return column
