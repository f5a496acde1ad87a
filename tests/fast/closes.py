"""Bars, rows and levels from which the tests of the triggers are built."""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from mia._fast import evidence, levels, records
from mia.core.base_types import Regime
from mia.core.kernel_params import kernel_params

MINUTE = 60_000_000_000
RTH_OPEN = 1_700_000_000 * 1_000_000_000

Ohlc = tuple[int, int, int, int]
Found = tuple[int, int, float, float, float, float, int]


def make_bars(
    ohlc: list[Ohlc],
    volume: int | list[int] = 1000,
    delta: int | list[int] = 0,
    start: int = RTH_OPEN,
) -> NDArray[np.void]:
    """Minute bars; a lot that fits neither side is of unknown side."""
    n = len(ohlc)
    bars = np.zeros(n, records.BAR_DTYPE)
    for k, name in enumerate(("open", "high", "low", "close")):
        bars[name] = [bar[k] for bar in ohlc]
    bars["session_id"] = 20251112
    bars["t_open"] = start + MINUTE * np.arange(n)
    bars["t_close"] = bars["t_open"] + MINUTE
    bars["volume"] = volume
    bars["bid_volume"] = (bars["volume"] - np.asarray(delta)) // 2
    bars["ask_volume"] = bars["bid_volume"] + delta
    return bars


def make_rows(bars: NDArray[np.void], **fields: object) -> NDArray[np.void]:
    """RTH rows around bars: ATR 8, vr 1, UNCLEAR regime, nothing else known."""
    rows = np.zeros(len(bars), records.ROW_DTYPE)
    rows["bar"] = bars
    rows["index"] = np.arange(len(bars))
    rows["atr"] = 8.0
    rows["vr"] = 1.0
    rows["vwap"] = np.nan
    rows["vwap_sd"] = np.nan
    rows["vwap_rth"] = np.nan
    rows["rth"] = 1
    rows["t_rth_open"] = RTH_OPEN
    rows["session_high"] = np.maximum.accumulate(bars["high"])
    rows["session_low"] = np.minimum.accumulate(bars["low"])
    rows["regime"]["regime"] = Regime.UNCLEAR
    for name in ("resistance", "support", "tolerance"):
        rows["regime"][name] = np.nan
    for name, value in fields.items():
        outer, _, inner = name.partition("__")
        if inner:
            rows[outer][inner] = value
        else:
            rows[name] = value
    return rows


def make_options(n: int, **fields: object) -> NDArray[np.void]:
    """Options inputs of quality 1, quoted at the open of RTH; levels not given are missing."""
    options = np.zeros(n, records.OPTIONS_DTYPE)
    for name in ("feature", "gamma_flip", "call_wall", "put_wall"):
        options[name] = np.nan
    options["quality"] = 1.0
    options["ts_quotes"] = RTH_OPEN
    for name, value in fields.items():
        options[name] = value
    return options


def mirrored_bars(bars: NDArray[np.void]) -> NDArray[np.void]:
    """Bars with prices negated, high and low swapped, bid and ask volume swapped."""
    out = bars.copy()
    for name, source in (("open", "open"), ("high", "low"), ("low", "high"), ("close", "close")):
        out[name] = -bars[source]
    out["bid_volume"], out["ask_volume"] = bars["ask_volume"], bars["bid_volume"]
    return out


def mirrored_rows(rows: NDArray[np.void]) -> NDArray[np.void]:
    """Rows that the mirrored bars would have given, without what setups and evidence write."""
    out = rows.copy()
    out["bar"] = mirrored_bars(rows["bar"])
    for name in ("vwap", "vwap_rth", "vslope"):
        out[name] = -rows[name]
    for group in ("developing", "previous"):
        out[f"{group}_poc"] = -rows[f"{group}_poc"]
        out[f"{group}_vah"] = -rows[f"{group}_val"]
        out[f"{group}_val"] = -rows[f"{group}_vah"]
    for group in ("session", "overnight"):
        out[f"{group}_high"] = -rows[f"{group}_low"]
        out[f"{group}_low"] = -rows[f"{group}_high"]
    out["pattern"] = rows["pattern"][:, [1, 0, 3, 2]]
    for name in ("golden", "score", "base_dir", "signal", "launched", "violated", "active_dir"):
        out["battle"][name] = -rows["battle"][name]
    out["battle"]["active_low"] = -rows["battle"]["active_high"]
    out["battle"]["active_high"] = -rows["battle"]["active_low"]
    out["regime"]["regime"] = np.array([1, 0, 3, 2, 5, 4, 6, 7, 8])[rows["regime"]["regime"]]
    out["regime"]["support"] = -rows["regime"]["resistance"]
    out["regime"]["resistance"] = -rows["regime"]["support"]
    out["feature"][:, [2, 3]] *= -1
    return out


def mirrored_options(options: NDArray[np.void]) -> NDArray[np.void]:
    """Options inputs with levels negated and walls swapped."""
    out = options.copy()
    out["gamma_flip"] = -options["gamma_flip"]
    out["call_wall"] = -options["put_wall"]
    out["put_wall"] = -options["call_wall"]
    return out


def mirrored_zones(zones: NDArray[np.void]) -> NDArray[np.void]:
    """Zones of one close with prices negated, again ascending."""
    out = zones[::-1].copy()
    out["low"] = -zones["high"][::-1]
    out["high"] = -zones["low"][::-1]
    out["centre"] = -zones["centre"][::-1]
    return out


def make_zones(*table: tuple[float, float, float, int]) -> NDArray[np.void]:
    """Zones of (low, high, score, kinds), centred."""
    zones = np.zeros(len(table), levels.ZONE_DTYPE)
    for name, column in zip(
        ("low", "high", "score", "kinds"), zip(*table, strict=True), strict=True
    ):
        zones[name] = column
    zones["counted"] = zones["kinds"]
    zones["centre"] = (zones["low"] + zones["high"]) / 2
    return zones


def setups_of(row: np.void) -> list[Found]:
    """Kind, side, quality, level, stop, target and traded of each setup, by kind and side."""
    names = ("kind", "side", "quality", "level", "stop", "target", "traded")
    columns = [row[f"setup_{name}"][: row["n_setups"]].tolist() for name in names]
    return sorted(zip(*columns, strict=True), key=lambda setup: setup[:2])


def mirrored_setups(row: np.void) -> list[Found]:
    """Setups of a row with sides and prices negated, by kind and side."""
    found = (
        (kind, -side, quality, -level, -stop, -target, traded)
        for kind, side, quality, level, stop, target, traded in setups_of(row)
    )
    return sorted(found, key=lambda setup: setup[:2])


@dataclass(frozen=True)
class Close:
    """The bars up to a close and what is known there, bullish."""

    ohlc: list[Ohlc]
    delta: int = 60
    fields: dict[str, object] = field(default_factory=dict)
    f3: float = 0.0
    f4: float = 0.0
    pattern: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    options: dict[str, object] = field(default_factory=dict)
    f9: float = float("nan")
    zones: tuple[tuple[float, float, float, int], ...] = ()

    def but(self, **changes: object) -> "Close":
        """The same with some fields changed; a row's field by its name."""
        own = {name: changes.pop(name) for name in list(changes) if hasattr(self, name)}
        return replace(self, fields=self.fields | changes, **own)

    def hits(self) -> list[Found]:
        """Hits at the last bar, after checking that the mirrored close gives mirrored hits."""
        n = len(self.ohlc)
        bars = make_bars(self.ohlc, delta=self.delta)
        rows = make_rows(bars, pattern=self.pattern, **self.fields)
        rows["feature"][:, 2:4] = self.f3, self.f4
        if not np.isnan(self.f9):
            rows["feature"][:, 8] = self.f9
            rows["valid"][:, 8] = 1
        options = make_options(n, **self.options)
        zones = make_zones(*self.zones) if self.zones else np.zeros(0, levels.ZONE_DTYPE)
        first = np.array([0] * n + [len(zones)])
        short = mirrored_rows(rows)
        evidence.Evidence(kernel_params()).run(bars, rows, options, zones, first)
        evidence.Evidence(kernel_params()).run(
            mirrored_bars(bars), short, mirrored_options(options), mirrored_zones(zones), first
        )
        hits = setups_of(rows[-1])
        np.testing.assert_allclose(mirrored_setups(short[-1]), hits, rtol=0, atol=1e-12)
        return hits
