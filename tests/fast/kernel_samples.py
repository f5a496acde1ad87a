"""Bars, vectors and comparisons that the tests of the kernels share."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from mia._fast import records

VECTORS = Path(__file__).parents[1] / "vectors"
FIELDS = {
    "o": "open",
    "h": "high",
    "l": "low",
    "c": "close",
    "v": "volume",
    "bid_v": "bid_volume",
    "ask_v": "ask_volume",
}
READY_MADE = 4
T_OPEN = 1_709_649_000_000_000_000
MINUTE = 60_000_000_000


def cases(file: str) -> list[Any]:
    """Return the cases of a vector file, each with its name as the test id."""
    import pytest

    loaded = json.loads((VECTORS / f"{file}.json").read_text())["cases"]
    return [pytest.param(case, id=case["name"]) for case in loaded]


def make_bars(columns: Sequence[str], rows: Sequence[Sequence[int]]) -> NDArray[np.void]:
    """Return ready-made one-minute bars of one session."""
    bars = np.zeros(len(rows), records.BAR_DTYPE)
    bars["session_id"] = 20240305
    bars["flags"] = READY_MADE
    bars["t_open"] = T_OPEN + MINUTE * np.arange(len(rows))
    bars["t_close"] = bars["t_open"] + MINUTE
    for k, name in enumerate(columns):
        bars[FIELDS.get(name, name)] = [row[k] for row in rows]
    return bars


def vector_bars(inputs: Mapping[str, Any]) -> NDArray[np.void]:
    """Return the bars of a vector; its columns may name times only."""
    columns = list(inputs["columns"])
    return make_bars(columns, inputs["bars"])


def mirror(bars: NDArray[np.void]) -> NDArray[np.void]:
    """Negate the prices and swap the sides."""
    out = bars.copy()
    out["open"], out["close"] = -bars["open"], -bars["close"]
    out["high"], out["low"] = -bars["low"], -bars["high"]
    out["bid_volume"], out["ask_volume"] = bars["ask_volume"], bars["bid_volume"]
    return out


def close_to(value: float, expected: float) -> bool:
    """Compare as the vectors ask."""
    return abs(value - expected) <= 1e-9 * max(1.0, abs(expected))


@st.composite
def bar_series(draw: st.DrawFn, longest: int = 100) -> NDArray[np.void]:
    """Draw a session of plausible and implausible bars: dojis, no range, no flow, long runs."""
    n = draw(st.integers(1, longest))
    seed = draw(st.integers(0, 2**32 - 1))
    step = draw(st.sampled_from([1, 3, 8]))
    drift = draw(st.sampled_from([-2, 0, 2]))
    flow = draw(st.sampled_from([0.0, 0.3, 1.0]))
    random = np.random.default_rng(seed)
    bars = np.zeros(n, records.BAR_DTYPE)
    bars["session_id"] = 20240305
    bars["flags"] = READY_MADE
    bars["t_open"] = T_OPEN + MINUTE * np.arange(n)
    bars["t_close"] = bars["t_open"] + MINUTE
    bars["open"] = 16000 + np.cumsum(random.integers(-step, step + 1, n) + drift)
    bars["close"] = bars["open"] + random.integers(-step, step + 1, n) + drift
    bars["high"] = np.maximum(bars["open"], bars["close"]) + random.integers(0, step + 1, n)
    bars["low"] = np.minimum(bars["open"], bars["close"]) - random.integers(0, step + 1, n)
    bars["volume"] = random.integers(1, 3000, n)
    bars["bid_volume"] = random.random(n) * bars["volume"] * (random.random(n) < flow)
    bars["ask_volume"] = bars["volume"] - bars["bid_volume"]
    bars["ask_volume"] *= bars["bid_volume"] > 0
    return bars


def atr_of(bars: NDArray[np.void]) -> NDArray[np.float64]:
    """Return the ATR of each bar, plainly."""
    ranges: list[int] = []
    out = []
    for k, bar in enumerate(bars):
        spread = int(bar["high"] - bar["low"])
        if k:
            close = int(bars[k - 1]["close"])
            spread = max(spread, abs(int(bar["high"]) - close), abs(int(bar["low"]) - close))
        ranges.append(spread)
        newest = ranges[-14:]
        out.append(max(1.0, sum(newest) / len(newest)))
    return np.array(out)


def fields_of(record: Any) -> Iterator[tuple[str, Any]]:
    """Yield the fields of a record by name."""
    for name in record.dtype.names:
        yield name, record[name]
