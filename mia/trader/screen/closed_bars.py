"""Bars, fills and marks of equity as lines for the charts, taken when they are new."""

from collections.abc import Mapping
from math import isfinite, sqrt
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from mia._fast.market_state import MarketState
from mia.core import sessions
from mia.core.base_types import Regime
from mia.core.trading_types import Fill
from mia.trader.screen.screen_file import ScreenFile

_EMPTY: dict[str, Any] = {
    "poc": None,
    "vah": None,
    "val": None,
    "rows": [],
    "score": None,
    "regime": None,
}


class ClosedBars:
    """Follows the primary bars of a market state, and the extremes of regular hours.

    A bar that is noticed before the next one closes comes with everything that its close
    computed and with its footprint. Others, as those that were closed before the trader was
    ready, have what their trades tell: profile, score and regime are null and their rows are
    empty.

    Parameters
    ----------
    state : MarketState
    file : ScreenFile

    Attributes
    ----------
    count : int
        Bars since the start.
    day_before : tuple
        High, low and last price of the regular hours of the session before, ticks; None where
        they were not seen.
    """

    def __init__(self, state: MarketState, file: ScreenFile) -> None:
        self._state = state
        self._file = file
        self._session_id = 0
        self._seen = 0
        self._written_until = 0
        self._regular = (0, 0)
        self._range: tuple[int, int, int] | None = None
        self.count = 0
        self.day_before: tuple[int | None, int | None, int | None] = (None, None, None)

    def look(self) -> bool:
        """Write the bars that have closed since the last call; true if there were some."""
        state = self._state
        count = state.primary.count
        if count == self._seen and state.session_id == self._session_id:
            return False
        if state.session_id != self._session_id:
            self._begin(state.session_id)
        if count == self._seen:
            return False
        self._write(state.primary.bars, count)
        self.count += count - self._seen
        self._seen = count
        return True

    def on_fill(self, fill: Fill) -> None:
        """Write a fill."""
        told = {
            "t": fill.ts,
            "side": int(fill.side),
            "quantity": fill.quantity,
            "price": fill.price,
            "role": fill.role.value,
            "trade_id": fill.bracket_id,
        }
        self._append(sessions.session_id(fill.ts), {"fill": told})

    def on_mark(self, mark: tuple[int, int, float]) -> None:
        """Write what the account was worth: (ns UTC, session, USD)."""
        ts, session_id, equity = mark
        self._append(session_id, {"mark": {"t": ts, "equity": equity}})

    def _begin(self, session_id: int) -> None:
        if self._range is not None:
            self.day_before = self._range
        elif self._session_id:
            self.day_before = (None, None, None)
        self._range = None
        self._session_id = session_id
        self._seen = 0
        self._written_until = self._file.newest_bar(session_id)
        day = sessions.session_table(session_id, session_id)[0]
        self._regular = int(day["t_rth_open"]), int(day["t_rth_close"])

    def _write(self, bars: NDArray[np.void], count: int) -> None:
        row = self._state.newest
        assert row is not None
        new = bars[-min(count - self._seen, len(bars)) :]
        past = new[:-1] if len(new) > 1 else new[:0]
        if len(past):
            self._write_past(bars, len(new), row)
        newest = row["bar"]
        self._widen(newest["t_open"], newest["high"], newest["low"], newest["close"])
        self._put(newest["t_open"], _line(row, self._rows(newest)))

    def _write_past(self, bars: NDArray[np.void], new: int, row: Mapping[str, Any]) -> None:
        """Write all new bars but the newest, whose row gives the CVD from which to count back."""
        delta = bars["ask_volume"] - bars["bid_volume"]
        cvd = row["cvd"] - np.append(np.cumsum(delta[::-1])[::-1][1:], 0)
        whole = len(bars) == self._state.primary.count
        volume, pv, p2v = (np.cumsum(bars[name]) for name in ("volume", "pv", "p2v"))
        for k in range(len(bars) - new, len(bars) - 1):
            bar = bars[k]
            vwap = spread = None
            if whole and volume[k]:
                vwap = float(pv[k] / volume[k])
                spread = sqrt(max(0.0, float(p2v[k] / volume[k]) - vwap * vwap))
            t, high, low = int(bar["t_open"]), int(bar["high"]), int(bar["low"])
            self._widen(t, high, low, int(bar["close"]))
            line = {
                "t": t,
                "o": int(bar["open"]),
                "h": high,
                "l": low,
                "c": int(bar["close"]),
                "v": int(bar["volume"]),
                "d": int(delta[k]),
                "cvd": int(cvd[k]),
                "vwap": vwap,
                "sd": spread,
            }
            self._put(t, line | _EMPTY)

    def _rows(self, bar: Mapping[str, Any]) -> list[list[int]]:
        """Return price, sold at the bid and bought at the ask of the newest bar."""
        low, bid, ask = self._state.footprint.closed
        if low != bar["low"] or len(bid) != bar["high"] - low + 1:
            return []
        columns = zip(bid.tolist(), ask.tolist(), strict=True)
        return [[low + k, sold, bought] for k, (sold, bought) in enumerate(columns)]

    def _widen(self, t: int, high: int, low: int, close: int) -> None:
        if self._regular[0] <= t < self._regular[1]:
            known = self._range
            if known is not None:
                high, low = max(high, known[0]), min(low, known[1])
            self._range = (high, low, close)

    def _put(self, t: int, line: dict[str, Any]) -> None:
        if t > self._written_until:
            self._written_until = t
            self._append(self._session_id, line)

    def _append(self, session_id: int, line: dict[str, Any]) -> None:
        self._file.append(session_id, msgspec.json.encode(line))


def _line(row: Mapping[str, Any], rows: list[list[int]]) -> dict[str, Any]:
    bar = row["bar"]
    profile = bool(row["profile_valid"])
    return {
        "t": bar["t_open"],
        "o": bar["open"],
        "h": bar["high"],
        "l": bar["low"],
        "c": bar["close"],
        "v": bar["volume"],
        "d": bar["ask_volume"] - bar["bid_volume"],
        "cvd": row["cvd"],
        "vwap": _known(row["vwap"]),
        "sd": _known(row["vwap_sd"]),
        "poc": row["poc"] if profile else None,
        "vah": row["vah"] if profile else None,
        "val": row["val"] if profile else None,
        "rows": rows,
        "score": row["battle"]["score"],
        "regime": Regime(row["regime"]["regime"]).name,
    }


def _known(value: float) -> float | None:
    return value if isfinite(value) else None
