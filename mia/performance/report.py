"""One HTML file about a run, which needs nothing beside itself."""

import base64
import hashlib
import json
from collections.abc import Mapping
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from mia.performance import report_analysis, report_tables
from mia.performance.chart_data import chart_data
from mia.performance.recorder import RunRecord
from mia.performance.results import replacing
from mia.performance.wording import number, plural

TIMINGS = ("seconds", "ticks_per_second")
"""Figures of the machine rather than of the run; left out, so that a run repeated is the same."""

SCRIPTS = ("report.js", "report_charts.js", "report_risk.js", "report_candles.js", "report_list.js")


def _asset(name: str) -> str:
    return (files("mia.performance") / name).read_text(encoding="utf-8")


def embedded(content: Mapping[str, Any]) -> str:
    """Return JSON that no HTML parser can take for markup."""
    text = json.dumps(content, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _hash(script: str) -> str:
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def render(
    record: RunRecord,
    summary: Mapping[str, Any],
    bars: Mapping[str, list[int]],
    start_equity: float,
) -> str:
    """Return the page; see `write_report`. The same input gives the same text."""
    data = chart_data(record, bars, start_equity)
    scripts = [f"\n{_asset(name)}" for name in SCRIPTS]
    shown = (
        f"The line is the close of each of {plural(len(data['daily']['t']), 'session')}. "
        f"Candles of {data['pack']['width'] // 60} minutes: {data['shown']}, "
        f"{number(data['candles_shown'])} of {number(data['candles'])}. "
        "Times are New York's; prices are those of the contract traded, not adjusted at rolls."
    )
    return Template(_asset("report.html")).substitute(
        title=escape(_title(summary)),
        subtitle=escape(_subtitle(summary)),
        script_hashes=" ".join(_hash(script) for script in scripts),
        style=_asset("report.css"),
        honesty=report_tables.honesty(summary),
        facts=report_tables.facts(summary),
        shown=escape(shown) if data["candles"] else "No bars were given, so no prices are drawn.",
        luck=report_analysis.luck(summary),
        risk=report_analysis.risk(summary),
        under_water=report_analysis.under_water(summary),
        in_depth=report_analysis.in_depth(summary),
        groups=report_tables.groups(summary),
        months=report_tables.months(summary),
        rejections=report_tables.rejections(summary, record.decisions),
        kills=report_tables.kills(summary),
        summary=embedded({k: v for k, v in summary.items() if k not in TIMINGS}),
        data=embedded(data),
        scripts="\n".join(f"<script>{script}</script>" for script in scripts),
    )


def _title(summary: Mapping[str, Any]) -> str:
    source = str(summary.get("source", "unnamed data"))
    if "journal" in summary:
        return f"Account {source}"
    # Whoever filled the orders names the run: a trader's is no backtest.
    return f"{'Simulated account on' if 'broker' in summary else 'Backtest of'} {source}"


def _subtitle(summary: Mapping[str, Any]) -> str:
    traded = plural(summary["trades"], "trade") if summary["trades"] else "no trades"
    mode = str(summary.get("trading_mode", "unknown")).replace("_", " ")
    risk = str(summary.get("risk_level", "unknown"))
    return f"{plural(summary['sessions'], 'session')}, {traded}; {mode} mode, {risk} risk"


def write_report(
    path: Path,
    record: RunRecord,
    summary: Mapping[str, Any],
    bars: Mapping[str, list[int]],
    start_equity: float,
) -> None:
    """Write a page with the figures, charts and trades of a run.

    The page fetches nothing, and a policy inside it forbids it to. Candles are those around
    trades; the whole period is shown by one line.

    Parameters
    ----------
    path : Path
    record : RunRecord
    summary : mapping
        As `mia.performance.summary.summarise` makes it; embedded in an element with the id
        ``summary``, all but the `TIMINGS`.
    bars : mapping of str to list of int
        Bars of the whole tape in time order: ``t_open`` in seconds UTC, ``open``, ``high``,
        ``low``, ``close`` in ticks.
    start_equity : float
        USD.

    Raises
    ------
    DataError
        If the file cannot be written, or the calendar does not cover the bars.
    """
    page = render(record, summary, bars, start_equity)
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8", newline="\n")
