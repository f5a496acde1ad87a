"""Charts of a positioning as SVG text; colours are classes of the page's style sheet."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, isfinite, log10

import numpy as np

from mia.features.options_summary import EsMap
from mia.features.positioning import Positioning

WIDTH, HEIGHT = 960.0, 380.0
NARROW, LOW = 480.0, 280.0
"""Size of the charts that stand side by side."""

LEFT, RIGHT, TOP, BOTTOM = 64.0, 16.0, 30.0, 44.0
REACH = 8.0
"""Half the width of the price axis, in expected daily moves."""

LABEL_GAP = 15.0
MAX_EXPIRIES = 10


def levels_of(found: Positioning) -> list[tuple[str, float]]:
    """Return the named levels that exist, spot first."""
    named = (
        ("spot", found.spot),
        ("gamma flip", found.flip),
        ("call wall", found.call_wall),
        ("put wall", found.put_wall),
    )
    return [(name, level) for name, level in named if isfinite(level)]


def ticks(low: float, high: float, wanted: int) -> list[float]:
    """Return round values in [low, high], about as many as wanted."""
    if not high > low:
        return [low]
    raw = (high - low) / wanted
    unit = 10.0 ** floor(log10(raw))
    step = unit * next(m for m in (1.0, 2.0, 2.5, 5.0, 10.0) if m * unit >= raw - 1e-12)
    first = ceil(low / step - 1e-9)
    return [step * k for k in range(first, floor(high / step + 1e-9) + 1)]


@dataclass(frozen=True, slots=True)
class Frame:
    """Price axis of SPX below and ES above.

    Attributes
    ----------
    low, high : float
        SPX points at the edges.
    to_es : EsMap
    """

    low: float
    high: float
    to_es: EsMap

    @classmethod
    def around(cls, found: Positioning, to_es: EsMap) -> "Frame | None":
        """Centre on the spot, wide enough for the levels; None without a spot."""
        if not (isfinite(found.spot) and found.spot > 0.0 and np.isfinite(found.levels).all()):
            return None
        move = found.expected_move if isfinite(found.expected_move) else 0.01 * found.spot
        half = min(max(REACH * move, 0.03 * found.spot), 0.15 * found.spot)
        reach = [abs(level - found.spot) * 1.1 for _, level in levels_of(found)]
        half = min(max([half, *reach]), 0.15 * found.spot)
        return cls(found.spot - half, found.spot + half, to_es)

    def x(self, level: float) -> float:
        """Place a level."""
        return LEFT + (level - self.low) / (self.high - self.low) * (WIDTH - LEFT - RIGHT)

    def axes(self) -> str:
        """Draw both axes of price."""
        parts = []
        for level in ticks(self.low, self.high, 9):
            if self.x(level) > LEFT + 24:
                parts.append(_text(self.x(level), HEIGHT - BOTTOM + 16, f"{level:,.0f}", "tick"))
            parts.append(_line(self.x(level), TOP, self.x(level), HEIGHT - BOTTOM, "grid"))
        es_low, es_high = self.to_es.level(self.low), self.to_es.level(self.high)
        for price in ticks(es_low, es_high, 9):
            at = LEFT + (price - es_low) / (es_high - es_low) * (WIDTH - LEFT - RIGHT)
            parts.append(_line(at, TOP - 4, at, TOP, "axis"))
            if at > LEFT + 24:
                parts.append(_text(at, TOP - 8, f"{price:,.0f}", "tick"))
        parts.append(_text(LEFT - 8, TOP - 8, "ES", "tick end"))
        parts.append(_text(LEFT - 8, HEIGHT - BOTTOM + 16, "SPX", "tick end"))
        return "".join(parts)

    def marks(self, found: Positioning, usable: bool) -> str:
        """Draw spot, flips and walls, labels in rows so that none covers another."""
        named = [(name, level) for name, level in levels_of(found) if usable or name == "spot"]
        named += [
            ("flip", flip.level)
            for flip in (found.flips if usable else ())
            if flip.level != found.flip
        ]
        shown = sorted((lv, name) for name, lv in named if self.low <= lv <= self.high)
        lines, labels, ends = [], [], [-1.0] * 8
        for level, name in shown:
            at = self.x(level)
            label = f"{name} {level:,.0f}"
            width = 7.0 * len(label)
            right = at + 4 + width <= WIDTH - RIGHT
            start = at + 4 if right else at - 4 - width
            row = next((k for k, end in enumerate(ends) if start > end), len(ends) - 1)
            ends[row] = start + width + 6
            kind = name.replace(" ", "-")
            lines.append(_line(at, TOP, at, HEIGHT - BOTTOM, f"mark {kind}"))
            where = TOP + 13 + LABEL_GAP * row
            labels.append(_text(start, where, label, f"label {kind}"))
        # Labels last: their outline keeps the lines out of the letters.
        return "".join(lines + labels)


@dataclass(frozen=True, slots=True)
class _Scale:
    """Value axis."""

    low: float
    high: float
    width: float
    height: float

    @classmethod
    def over(cls, values: Sequence[float], *, zero: bool = True, wide: bool = True) -> "_Scale":
        low, high = min(values), max(values)
        if zero:
            low, high = min(low, 0.0), max(high, 0.0)
        pad = 0.08 * (high - low) or max(0.1 * abs(high), 1.0)
        # A wide chart needs room above for the labels of the levels.
        top = high + (4.0 if wide else 2.0) * pad
        return cls(low - pad, top, WIDTH if wide else NARROW, HEIGHT if wide else LOW)

    def y(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return self.height - BOTTOM - share * (self.height - TOP - BOTTOM)

    def axis(self, form: str, unit: str) -> str:
        parts = []
        for value in ticks(self.low, self.high, 6):
            y = self.y(value)
            kind = "zero" if value == 0.0 else "grid"
            parts.append(_line(LEFT, y, self.width - RIGHT, y, kind))
            parts.append(_text(LEFT - 8, y + 4, format(value, form), "tick end"))
        parts.append(_text(LEFT, self.height - 8, unit, "unit-label"))
        return "".join(parts)


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f"<line class='{kind}' x1='{x1:.1f}' y1='{y1:.1f}' x2='{x2:.1f}' y2='{y2:.1f}'/>"


def _text(x: float, y: float, text: str, kind: str) -> str:
    return f"<text class='{kind}' x='{x:.1f}' y='{y:.1f}'>{escape(text)}</text>"


def _bar(x: float, width: float, y0: float, y1: float, value: float, title: str) -> str:
    kind = "positive" if value >= 0.0 else "negative"
    top, height = min(y0, y1), max(abs(y1 - y0), 0.5)
    return (
        f"<rect class='{kind}' x='{x:.1f}' y='{top:.1f}' width='{width:.1f}' "
        f"height='{height:.1f}'><title>{escape(title)}</title></rect>"
    )


def _svg(label: str, content: str, usable: bool, wide: bool = True) -> str:
    size = (WIDTH, HEIGHT) if wide else (NARROW, LOW)
    kind = "" if usable else " class='pale'"
    return (
        f"<svg viewBox='0 0 {size[0]:.0f} {size[1]:.0f}' role='img' "
        f"aria-label='{escape(label)}'{kind}>{content}</svg>"
    )


def strikes(frame: Frame, found: Positioning, usable: bool) -> str:
    """Draw gamma exposure by strike, neighbouring strikes summed where they are too dense."""
    inside = (found.strikes >= frame.low) & (found.strikes <= frame.high)
    at, values = found.strikes[inside], found.gex_by_strike[inside] / 1e9
    if not len(at):
        return "<p class='note'>No strike near the spot.</p>"
    room = (frame.high - frame.low) / 190.0
    step = next(s for s in (1.0, 5.0, 10.0, 25.0, 50.0, 100.0, 1e9) if s >= room)
    bins, owner = np.unique(np.round(at / step) * step, return_inverse=True)
    sums = np.bincount(owner, weights=values)
    scale = _Scale.over([*sums.tolist(), 0.0])
    width = max(0.7 * (frame.x(frame.low + step) - LEFT), 1.5)
    bars = "".join(
        _bar(
            frame.x(strike) - width / 2,
            width,
            scale.y(0.0),
            scale.y(value),
            value,
            f"{strike:,.0f}: {value:+.3f} bn USD per 1 %",
        )
        for strike, value in zip(bins.tolist(), sums.tolist(), strict=True)
    )
    unit = f"bn USD per 1 % move, strikes in steps of {step:g} points"
    content = frame.axes() + scale.axis("g", unit) + bars + frame.marks(found, usable)
    return _svg("Gamma exposure by strike", content, usable)


def profile(frame: Frame, found: Positioning, usable: bool) -> str:
    """Draw the gamma exposure that the dealers would have at other levels of the index."""
    inside = (found.levels >= frame.low) & (found.levels <= frame.high)
    at, values = found.levels[inside], found.profile[inside] / 1e9
    scale = _Scale.over([*values.tolist(), 0.0])
    path = " ".join(
        f"{frame.x(level):.1f},{scale.y(value):.1f}"
        for level, value in zip(at.tolist(), values.tolist(), strict=True)
    )
    dots = "".join(
        f"<circle class='dot' cx='{frame.x(flip.level):.1f}' cy='{scale.y(0.0):.1f}' r='4'>"
        f"<title>flip {flip.level:,.1f}</title></circle>"
        for flip in (found.flips if usable else ())
        if frame.low <= flip.level <= frame.high
    )
    line = f"<polyline class='curve' points='{path}'/>"
    content = frame.axes() + scale.axis("g", "bn USD per 1 % move") + line + dots
    return _svg("Gamma profile", content + frame.marks(found, usable), usable)


def expiries(found: Positioning, usable: bool) -> str:
    """Draw gamma exposure of the nearest expiries."""
    values = (found.gex_by_expiry[:MAX_EXPIRIES] / 1e9).tolist()
    if not values:
        return "<p class='note'>No expiry has a smile.</p>"
    scale = _Scale.over([*values, 0.0], wide=False)
    slot = (NARROW - LEFT - RIGHT) / len(values)
    parts = [scale.axis("g", "bn USD per 1 % move")]
    for k, (expiry, value) in enumerate(zip(found.expiries.tolist(), values, strict=False)):
        day = f"{expiry // 100 % 100:02d}-{expiry % 100:02d}"
        left = LEFT + slot * (k + 0.15)
        title = f"{expiry}: {value:+.2f} bn USD per 1 %"
        parts.append(_bar(left, 0.7 * slot, scale.y(0.0), scale.y(value), value, title))
        parts.append(_text(LEFT + slot * (k + 0.5), LOW - BOTTOM + 16, day, "tick"))
    return _svg("Gamma exposure by expiry", "".join(parts), usable, wide=False)


def term(found: Positioning, usable: bool) -> str:
    """Draw volatility at the money over maturity."""
    points = [
        (days, 100.0 * sigma)
        for days, sigma in ((7, found.sigma_7d), (30, found.sigma_30d), (90, found.sigma_90d))
        if isfinite(sigma)
    ]
    if not points:
        return "<p class='note'>No volatility at the money.</p>"
    scale = _Scale.over([value for _, value in points], zero=False, wide=False)

    def x(days: int) -> float:
        return (
            LEFT
            + 40
            + (log10(days) - log10(7)) / (log10(90) - log10(7)) * (NARROW - LEFT - RIGHT - 80)
        )

    parts = [scale.axis("g", "volatility at the money, % a year, by days to expiry")]
    line = " ".join(f"{x(days):.1f},{scale.y(value):.1f}" for days, value in points)
    parts.append(f"<polyline class='curve' points='{line}'/>")
    for days, value in points:
        parts.append(f"<circle class='dot' cx='{x(days):.1f}' cy='{scale.y(value):.1f}' r='4'/>")
        parts.append(_text(x(days), scale.y(value) - 10, f"{value:.2f} %", "value"))
        parts.append(_text(x(days), LOW - BOTTOM + 16, f"{days} d", "tick"))
    return _svg("Term structure of volatility", "".join(parts), usable, wide=False)
