"""Stylised facts of a tape: what calibration compares between the real and the synthetic market."""

from collections.abc import Iterable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from mia.core.base_types import MISSING_PRICE, TradeBlock
from mia.data.synthetic import intraday
from mia.data.synthetic.clock import SECOND_NS

Figures = dict[str, float]

CHICAGO = ZoneInfo("America/Chicago")
RTH_START_S = intraday.slot_of("08:30") * intraday.SLOT_S
RTH_END_S = intraday.slot_of("15:00") * intraday.SLOT_S
RTH_S = RTH_END_S - RTH_START_S
RTH_SLOTS = RTH_S // intraday.SLOT_S
FIRST_SLOT = RTH_START_S // intraday.SLOT_S
SESSION_S = intraday.SLOTS * intraday.SLOT_S
TICK_POINTS = 0.25

LAST_TRADE_S = 300
"""A session whose last trade is longer before the cash close ended early."""

PROFILE_SLOTS = (
    "08:30", "08:35", "09:00", "10:00", "11:00", "12:00", "13:00", "14:00", "14:55", "15:00",
    "15:30", "17:00", "20:00", "02:00", "07:30",
)  # fmt: skip
RANGE_SLOTS = PROFILE_SLOTS[:9]


def session_open(ts_event: int) -> int:
    """Return the last 17:00 in Chicago at or before `ts_event`, ns UTC."""
    local = datetime.fromtimestamp(ts_event // SECOND_NS, UTC).astimezone(CHICAGO)
    since = (local.hour * 3600 + local.minute * 60 + local.second - 17 * 3600) % 86_400
    return (ts_event // SECOND_NS - since) * SECOND_NS


def _share(flags: NDArray[np.bool_]) -> float:
    return float(flags.mean()) if len(flags) else float("nan")


def correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Return the correlation of two samples, nan if one is constant."""
    a, b = a - a.mean(), b - b.mean()
    scale = float((a * a).mean() * (b * b).mean())
    return float((a * b).mean()) / scale**0.5 if scale > 0 else float("nan")


def autocorrelation(x: NDArray[np.float64], lag: int) -> float:
    """Return the autocorrelation of a sample, nan if it is too short or constant."""
    if len(x) <= lag + 1:
        return float("nan")
    d = x - x.mean()
    scale = float((d * d).mean())
    return float((d[lag:] * d[:-lag]).mean()) / scale if scale > 0 else float("nan")


def trade_figures(block: TradeBlock) -> Figures:
    """Return the figures of single trades over a whole session."""
    out: Figures = {"trades": float(len(block)), "size_mean": float(block.size.mean())}
    for q in (25, 50, 75, 90, 99, 99.9):
        out[f"size_q{q:g}"] = float(np.quantile(block.size, q / 100))
    out["size_one"] = _share(block.size == 1)
    out["size_max"] = float(block.size.max())
    change = np.diff(block.price)
    step = np.abs(change)
    for k in (0, 1, 2):
        out[f"tick_{k}"] = _share(step == k)
    out["tick_3+"] = _share(step >= 3)
    direction = np.sign(change[change != 0])
    out["reversal"] = _share(direction[1:] != direction[:-1])
    return out


def arrival_figures(second: NDArray[np.int64]) -> Figures:
    """Return the figures of arrivals in the cash session from the second of each trade."""
    count = np.bincount(second, minlength=RTH_S)[:RTH_S].astype(np.float64)
    out: Figures = {"rate": float(count.mean()), "rate_max": float(count.max())}
    for window in (1, 10, 60, 300):
        total = count[: RTH_S // window * window].reshape(-1, window).sum(axis=1)
        out[f"fano_{window}s"] = float(total.var() / total.mean())
    out["empty"] = _share(count == 0)
    for lag in (1, 10, 60):
        out[f"count_ac_{lag}s"] = autocorrelation(count, lag)
    return out


def price_figures(second: NDArray[np.int64], price: NDArray[np.int32]) -> Figures:
    """Return the signature plot and the minute deviation of the cash session's last prices."""
    at = np.searchsorted(second, np.arange(RTH_S), side="right") - 1
    last = price[np.maximum(at, 0)] * TICK_POINTS
    out: Figures = {}
    for lag in (1, 5, 30, 60):
        move = last[lag:] - last[:-lag]
        out[f"signature_{lag}s"] = float((move * move).mean()) / lag
    out["minute_std"] = float(np.diff(last[59::60]).std())
    return out


def spread_figures(block: TradeBlock, inside: NDArray[np.bool_]) -> Figures:
    """Return the share of trades of the cash session that met each spread."""
    bid, ask = block.bid_price[inside], block.ask_price[inside]
    known = (bid != MISSING_PRICE) & (ask != MISSING_PRICE)
    spread = (ask - bid)[known]
    return {"spread_1": _share(spread == 1), "spread_2": _share(spread == 2)}


class SlotBars:
    """Five-minute bars of many sessions, as arrays of shape (sessions, slots)."""

    def __init__(self) -> None:
        self.volume: list[NDArray[np.float64]] = []
        self.delta: list[NDArray[np.float64]] = []
        self.high: list[NDArray[np.float64]] = []
        self.low: list[NDArray[np.float64]] = []
        self.close: list[NDArray[np.float64]] = []

    def add(self, block: TradeBlock, second: NDArray[np.int64]) -> None:
        """Add the bars of one session; slots without a trade repeat the last price."""
        slot = second // intraday.SLOT_S
        size = block.size.astype(np.float64)
        price = block.price.astype(np.float64) * TICK_POINTS
        edges = np.searchsorted(slot, np.arange(intraday.SLOTS + 1))
        self.volume.append(np.bincount(slot, size, intraday.SLOTS).astype(np.float64))
        signed = np.bincount(slot, size * block.aggressor_side, intraday.SLOTS)
        self.delta.append(signed.astype(np.float64))
        close = price[np.maximum(edges[1:] - 1, 0)]
        high, low = close.copy(), close.copy()
        for k in np.flatnonzero(edges[1:] > edges[:-1]).tolist():
            part = price[edges[k] : edges[k + 1]]
            high[k], low[k] = part.max(), part.min()
        self.close.append(close)
        self.high.append(high)
        self.low.append(low)

    def figures(self) -> Figures:
        """Return the figures of bars and ranges, over all sessions together."""
        volume, delta, close, high, low = (
            np.array(rows) for rows in (self.volume, self.delta, self.close, self.high, self.low)
        )
        out: Figures = {}
        slots = [intraday.slot_of(label) for label in PROFILE_SLOTS]
        mean = volume.mean(axis=0)
        scale = float(mean[[intraday.slot_of(label) for label in RANGE_SLOTS]].mean())
        for label, slot in zip(PROFILE_SLOTS, slots, strict=True):
            out[f"volume_{label}"] = float(mean[slot]) / scale
        span = (high - low).mean(axis=0)
        for label in RANGE_SLOTS:
            out[f"range_{label}"] = float(span[intraday.slot_of(label)])
        day = slice(FIRST_SLOT, FIRST_SLOT + RTH_SLOTS)
        ret = np.diff(close[:, FIRST_SLOT - 1 : FIRST_SLOT + RTH_SLOTS], axis=1)
        flat = ret.reshape(-1)
        centred = flat - flat.mean()
        variance = float((centred**2).mean())
        out["ret5_std"] = variance**0.5
        out["ret5_kurtosis"] = float((centred**4).mean()) / variance**2 - 3.0
        for lag in (1, 50):
            out[f"abs_ret5_ac_{lag}"] = autocorrelation(np.abs(flat), lag)
        out["ret5_ac_1"] = correlation(ret[:, 1:].reshape(-1), ret[:, :-1].reshape(-1))
        share = np.abs(delta[:, day]) / np.maximum(volume[:, day], 1.0)
        out["delta_share"] = float(share.mean())
        out["delta_ret_corr"] = correlation(delta[:, day].reshape(-1), flat)
        out["delta_next_ret_corr"] = correlation(
            delta[:, FIRST_SLOT : FIRST_SLOT + RTH_SLOTS - 1].reshape(-1), ret[:, 1:].reshape(-1)
        )
        out["session_range"] = float(np.median(high.max(axis=1) - low.min(axis=1)))
        return out


def day_figures(blocks: Iterable[TradeBlock]) -> Figures:
    """Return the autocorrelation of the daily volume; its lags count the sessions given."""
    total = np.array([block.size.sum(dtype=np.int64) for block in blocks], dtype=np.float64)
    return {f"day_volume_ac_{lag}": autocorrelation(total, lag) for lag in (1, 5)}


def measure(blocks: Iterable[TradeBlock]) -> Figures:
    """Measure the stylised facts of a tape.

    Figures of trades, arrivals, prices and spreads are computed for each session and their
    median is taken, since the targets are those of single days; figures of bars are
    computed over all sessions together. Sessions that end before the cash close are left out.

    Parameters
    ----------
    blocks : iterable of TradeBlock
        Summary trades, one block for each session.

    Returns
    -------
    dict
        Value of each figure by name; nan where there are too few sessions or no quotes.
    """
    daily: list[Figures] = []
    bars = SlotBars()
    for block in blocks:
        second = (block.ts_event - session_open(int(block.ts_event[0]))) // SECOND_NS
        if second[-1] < RTH_END_S - LAST_TRADE_S:
            continue
        keep = second < SESSION_S
        inside = (second >= RTH_START_S) & (second < RTH_END_S)
        bars.add(block, np.minimum(second, SESSION_S - 1))
        in_rth = second[inside] - RTH_START_S
        daily.append(
            trade_figures(block)
            | arrival_figures(in_rth)
            | price_figures(in_rth, block.price[inside])
            | spread_figures(block, inside & keep)
        )
    names = daily[0] if daily else {}
    medians = {name: float(np.median([figures[name] for figures in daily])) for name in names}
    return medians | bars.figures()
