"""A positioning as lines of a table: every number with its time and its quality."""

from math import isfinite
from typing import NamedTuple

from mia.features.options_summary import Appraisal, iso
from mia.features.positioning import Positioning

HIDDEN = "hidden"


class Line(NamedTuple):
    """One number as text."""

    name: str
    value: str
    unit: str
    asof: str
    quality: str


_ROWS = (
    ("spot (parity)", "spot", "points", 1.0, ",.2f"),
    ("index print", "index_print", "points", 1.0, ",.2f"),
    ("GEX", "gex_usd_per_pct", "bn USD per 1 %", 1e-9, "+,.2f"),
    ("gross gamma", "gross_gex_usd_per_pct", "bn USD per 1 %", 1e-9, ",.2f"),
    ("GEX / gross", "gex_ratio", "", 1.0, "+.3f"),
    ("DEX", "dex_usd", "bn USD", 1e-9, "+,.1f"),
    ("VEX", "vex_usd_per_point", "bn USD per vol point", 1e-9, "+,.2f"),
    ("CEX", "cex_usd_per_day", "bn USD per day", 1e-9, "+,.2f"),
    ("0DTE share of gamma", "zero_dte_share", "%", 100.0, ".1f"),
    ("expected move", "expected_move", "points a day", 1.0, ".1f"),
    ("volatility 7 d", "sigma_7d", "%", 100.0, ".2f"),
    ("volatility 30 d", "sigma_30d", "%", 100.0, ".2f"),
    ("volatility 90 d", "sigma_90d", "%", 100.0, ".2f"),
    ("25-delta skew 30 d", "skew_30d", "of 50-delta vol", 1.0, "+.3f"),
    ("put/call open interest", "pcr_oi", "", 1.0, ".2f"),
    ("put/call volume", "pcr_volume", "", 1.0, ".2f"),
)
_LEVELS = (
    ("call wall", "call_wall"),
    ("second call wall", "second_call_wall"),
    ("put wall", "put_wall"),
    ("second put wall", "second_put_wall"),
    ("largest gamma", "abs_gamma_strike"),
)


def _text(value: float, scale: float, form: str) -> str:
    return format(scale * value, form) if isfinite(value) else "unknown"


def positioning_lines(found: Positioning, appraisal: Appraisal) -> list[Line]:
    """Lay out a positioning, levels hidden where the quality does not suffice."""
    asof, quality = iso(found.asof), f"{appraisal.quality:.2f}"

    def line(name: str, value: str, unit: str) -> Line:
        return Line(name, value, unit, asof, quality)

    lines = [
        line(name, _text(getattr(found, field), scale, form), unit)
        for name, field, unit, scale, form in _ROWS
    ]
    if appraisal.usable:
        flips = ", ".join(f"{flip.level:,.1f}" for flip in found.flips) or "none"
        lines.append(
            line("gamma flip", _text(found.flip, 1.0, ",.1f") if found.flips else flips, "points")
        )
        if len(found.flips) > 1:
            lines.append(line("all flips", flips, "points"))
        lines += [
            line(name, _text(getattr(found, field), 1.0, ",.0f"), "points")
            for name, field in _LEVELS
        ]
    else:
        lines.append(line("flips and walls", HIDDEN, "points"))
    for name, value in appraisal.features.items():
        text = f"{value:+.3f}" if appraisal.valid[name] else "0 (not valid)"
        lines.append(line(name, text, "feature"))
    return lines
