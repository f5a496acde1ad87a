"""The page gex.html: positioning drawn as inline SVG, one file without network or script."""

from html import escape
from importlib.resources import files
from math import isfinite
from pathlib import Path
from string import Template

from mia.features.options_summary import Appraisal, EsMap, iso
from mia.features.positioning import Positioning
from mia.performance import gex_charts
from mia.performance.positioning_table import positioning_lines
from mia.performance.results import replacing


def _asset(name: str) -> str:
    return (files("mia.performance") / name).read_text(encoding="utf-8")


def _rows(found: Positioning, appraisal: Appraisal) -> str:
    return "\n".join(
        f"<tr><th>{escape(line.name)}</th><td>{escape(line.value)}</td>"
        f"<td class='unit'>{escape(line.unit)}</td><td class='unit'>{line.asof}</td>"
        f"<td class='unit'>{line.quality}</td></tr>"
        for line in positioning_lines(found, appraisal)
    )


def _levels(found: Positioning, appraisal: Appraisal, to_es: EsMap) -> str:
    if not appraisal.usable:
        return (
            "<p class='alarm'>Quality below 0.20: the options count as missing. Flips and walls "
            "are hidden, every feature is 0. The curves below are drawn pale.</p>"
        )
    cards = []
    for name, level in gex_charts.levels_of(found):
        value = f"{level:,.0f}" if level == round(level) else f"{level:,.1f}"
        cards.append(
            f"<div class='card'><span>{escape(name)}</span><b>{value}</b>"
            f"<span>ES {round(4 * to_es.level(level)) / 4:,.2f}</span></div>"
        )
    if isfinite(found.gex_usd_per_pct):
        cards.append(
            f"<div class='card'><span>GEX per 1 %</span><b>{found.gex_usd_per_pct / 1e9:+,.1f} bn"
            f"</b><span>USD, {escape(found.model)}</span></div>"
        )
    return f"<div class='cards'>{''.join(cards)}</div>"


def render(name: str, found: Positioning, appraisal: Appraisal, to_es: EsMap) -> str:
    """Return the page; see `write_page`. The same input gives the same text."""
    factors = "".join(
        f"<li>{escape(key.replace('_', ' '))} <b>{value:.2f}</b></li>"
        for key, value in appraisal.factors.items()
    )
    oi = f"{found.oi_session}" if found.oi_session else "unknown"
    charts = gex_charts.Frame.around(found, to_es)
    missing = "<p class='note'>Nothing to draw: no contract of this chain has usable quotes.</p>"
    return Template(_asset("gex_page.html")).substitute(
        title=escape(f"SPX gamma exposure, {iso(found.asof)}"),
        style=_asset("gex_page.css"),
        state="usable" if appraisal.usable else "missing",
        name=escape(name),
        source=escape(found.source),
        model=escape(found.model),
        asof=iso(found.asof),
        received=iso(found.received_at),
        judged=iso(appraisal.at),
        oi=oi,
        delay=f", delayed {found.delayed_s // 60} min" if found.delayed_s else "",
        quality=f"{appraisal.quality:.2f}",
        factors=factors,
        levels=_levels(found, appraisal, to_es),
        strikes=missing if charts is None else gex_charts.strikes(charts, found, appraisal.usable),
        profile=missing if charts is None else gex_charts.profile(charts, found, appraisal.usable),
        expiries=missing if charts is None else gex_charts.expiries(found, appraisal.usable),
        term=missing if charts is None else gex_charts.term(found, appraisal.usable),
        skew=_skew(found),
        rows=_rows(found, appraisal),
    )


def _skew(found: Positioning) -> str:
    if not isfinite(found.skew_30d):
        return "25-delta skew at 30 days: unknown."
    return (
        f"25-delta skew at 30 days: {found.skew_30d:+.3f} of the volatility at the money "
        f"(put less call), as of {iso(found.asof)}."
    )


def write_page(
    path: Path, name: str, found: Positioning, appraisal: Appraisal, to_es: EsMap
) -> None:
    """Draw a positioning.

    Parameters
    ----------
    path : Path
        File to write; replaced as a whole.
    name : str
        Of the chain, for the heading.
    found : Positioning
    appraisal : Appraisal
    to_es : EsMap
        For the axis of ES.

    Raises
    ------
    DataError
        If the file cannot be written.
    """
    with replacing(path) as temporary:
        temporary.write_text(render(name, found, appraisal, to_es), encoding="utf-8")
