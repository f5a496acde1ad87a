"""The parts of a report that are text: facts, figures and tables as HTML."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any

from mia.core.base_types import Reason
from mia.core.trading_types import Decision
from mia.performance.summary import NEW_YORK
from mia.performance.wording import (
    FEW_TRADES,
    NOTHING,
    chance,
    in_r,
    interval,
    number,
    percent,
    plural,
    remarks,
    usd,
)

GROUPS = (
    ("by_hour", "Hour of entry, New York"),
    ("by_weekday", "Weekday of the session"),
    ("by_phase", "Phase at the entry"),
    ("by_regime", "Regime"),
    ("by_strategy", "Strategy"),
    ("by_trigger", "Trigger"),
    ("by_side", "Side"),
    ("by_exit", "Reason of exit"),
)
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_WAITING = (Reason.REGIME_WAIT.value, Reason.NO_SETUP.value)


def figure(summary: Mapping[str, Any], key: str, text: str) -> str:
    """Write a figure of the summary so that its exact value can be read back."""
    return f'<data data-key="{key}" value="{json.dumps(summary[key])}">{escape(text)}</data>'


def signed_class(value: float | None) -> str:
    """Name the class that colours a gain or a loss."""
    return "gain" if value and value > 0.0 else "loss" if value and value < 0.0 else "flat"


def table(
    caption: str, heads: Sequence[str], rows: Iterable[Sequence[str]], *, words: bool = False
) -> str:
    """Write a table that scrolls sideways on its own; cells are HTML, the first heads its row."""
    return _scrolling(caption, heads, f"<tbody>{_rows(rows)}</tbody>", words)


def _scrolling(caption: str, heads: Sequence[str], bodies: str, words: bool = False) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in heads)
    kind = ' class="words"' if words else ""
    return (
        f'<div class="scroll" role="region" aria-label="{escape(caption)}" tabindex="0">'
        f"<table{kind}><caption>{escape(caption)}</caption>"
        f"<thead><tr>{head}</tr></thead>{bodies}</table></div>"
    )


def _rows(rows: Iterable[Sequence[str]]) -> str:
    parts = []
    for first, *others in rows:
        cells = "".join(f"<td>{cell}</td>" for cell in others)
        parts.append(f'<tr><th scope="row">{first}</th>{cells}</tr>')
    return "".join(parts)


def session_date(session_id: int | None) -> str:
    """Write the date of a session."""
    if session_id is None:
        return NOTHING
    text = str(session_id)
    return f"{text[:4]}-{text[4:6]}-{text[6:]}"


def new_york(ts: int) -> str:
    """Write an instant in ns UTC by the clocks of New York."""
    moment = datetime.fromtimestamp(ts // 1_000_000_000, UTC).astimezone(NEW_YORK)
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def _coloured(value: float | None, digits: int = 0) -> str:
    text = number(value, digits, sign=True)
    return f'<span class="{signed_class(value)}">{text}</span>'


def _known(value: Any) -> str:
    return {True: "known", False: "not known"}.get(value, "not recorded")


def facts(summary: Mapping[str, Any]) -> str:
    """Write what was run."""
    first, last = session_date(summary["first_session"]), session_date(summary["last_session"])

    def told(key: str) -> str:
        return str(summary.get(key, "not recorded"))

    period = f"{number(summary['sessions'])}, {first} to {last}" if summary["sessions"] else "none"
    refused = number(summary.get("rejected_rows", 0))
    known = [_known(summary.get(key)) for key in ("vix_known", "calendar_known")]
    texts = {
        "Source": told("source"),
        "Kind of data": told("source_kind"),
        "Sessions": period,
        "Mode": told("trading_mode"),
        "Risk level": told("risk_level"),
        "Bars": f"{number(summary['bars'])} ({told('primary_stream')})",
        "Rows of data": f"{number(summary['rows'])}, {refused} refused",
        "Starting equity": usd(summary["start_equity_usd"]),
        "VIX, calendar": ", ".join(known),
        "Code": told("code_version"),
    }
    items = [f"<div><dt>{name}</dt><dd>{escape(text)}</dd></div>" for name, text in texts.items()]
    for key, name in (("configuration_sha256", "Configuration"), ("data_sha256", "Data")):
        text = escape(told(key))
        items.append(
            f'<div class="wide"><dt>{name} (SHA-256)</dt><dd><code>{text}</code></dd></div>'
        )
    return f'<dl class="facts">{"".join(items)}</dl>'


def honesty(summary: Mapping[str, Any]) -> str:
    """Write the headline figures with their uncertainty and what they allow one to say."""
    s = summary
    error = s["sharpe_standard_error"]
    spread = f"standard error {number(error, 2)}" if error is not None else "undefined"
    fall = percent(s["max_drawdown_share"])
    cards = [
        ("Trades", figure(s, "trades", number(s["trades"])), plural(s["sessions"], "session")),
        (
            "Win rate",
            figure(s, "win_rate", percent(s["win_rate"])),
            f"{interval(s['win_rate_wilson_95'], percent)} (95 %, Wilson)",
        ),
        (
            "Expectancy",
            figure(s, "expectancy_r", in_r(s["expectancy_r"])),
            f"{interval(s['expectancy_r_95'], in_r)} (95 %)",
        ),
        ("Sharpe, a year", figure(s, "sharpe", number(s["sharpe"], 2)), spread),
        (
            "P(Sharpe > 0)",
            figure(s, "probabilistic_sharpe", chance(s["probabilistic_sharpe"])),
            "for one trial",
        ),
        (
            "Net result",
            figure(s, "net_pnl_usd", usd(s["net_pnl_usd"], sign=True)),
            f"before costs {usd(s['gross_pnl_usd'], sign=True)}",
        ),
        ("Costs", figure(s, "costs_usd", usd(s["costs_usd"])), _per_trade(s)),
        (
            "Deepest fall",
            figure(s, "max_drawdown_usd", usd(s["max_drawdown_usd"])),
            f"{fall} of the high",
        ),
        (
            "Profit factor",
            figure(s, "profit_factor", number(s["profit_factor"], 2)),
            f"gains / losses, {plural(s['trades'], 'trade')}",
        ),
        ("Sortino, a year", figure(s, "sortino", number(s["sortino"], 2)), _sortino(s)),
        ("Time in market", figure(s, "exposure", percent(s["exposure"])), _held(s)),
        (
            "Slippage",
            figure(s, "slippage_ticks_mean", number(s["slippage_ticks_mean"], 2)),
            "ticks a trade, mean",
        ),
    ]
    boxes = "".join(
        f"<div><dt>{name}</dt><dd>{value}</dd><dd>{escape(note)}</dd></div>"
        for name, value, note in cards
    )
    lines = "".join(
        f'<li class="{remark.tone}">{escape(remark.text)}</li>' for remark in remarks(summary)
    )
    return f'<ul class="remarks">{lines}</ul><dl class="cards">{boxes}</dl>'


def _per_trade(s: Mapping[str, Any]) -> str:
    return f"{number(s['costs_usd'] / s['trades'], 2)} USD a trade" if s["trades"] else "no trade"


def _sortino(s: Mapping[str, Any]) -> str:
    error = s["sortino_standard_error"]
    return f"standard error {number(error, 2)}" if error is not None else "undefined"


def _held(s: Mapping[str, Any]) -> str:
    held = s["bars_held_mean"]
    return f"{number(held, 1)} bars a trade" if held is not None else "no trade"


def groups(summary: Mapping[str, Any]) -> str:
    """Write the trades grouped in several ways, in one table with a part for each."""
    results = ("Mean R", "95 %", "Net USD", "Profit factor", "Costs USD")
    heads = ("", "Trades", "Win rate", "95 %, Wilson", *results)
    parts = []
    for key, title in GROUPS:
        rows = [_group(name, figures) for name, figures in summary[key].items()]
        head = f'<th scope="rowgroup" colspan="{len(heads)}">{escape(title)}</th>'
        if rows:
            parts.append(f'<tbody><tr class="part">{head}</tr>{_rows(rows)}</tbody>')
    if not parts:
        return "<p>No trades, so nothing to group.</p>"
    caption = (
        f"Groups of fewer than {FEW_TRADES} trades are marked *; "
        "among many groups some shine by chance"
    )
    return _scrolling(caption, heads, "".join(parts))


def _group(name: str, f: Mapping[str, Any]) -> list[str]:
    few = " *" if f["trades"] < FEW_TRADES else ""
    return [
        escape(name),
        f"{number(f['trades'])}{few}",
        percent(f["win_rate"], 0),
        interval(f["win_rate_wilson_95"], lambda x: number(100.0 * x)),
        _coloured(f["expectancy_r"], 2),
        interval(f["expectancy_r_95"], lambda x: number(x, 2, sign=True)),
        _coloured(f["net_pnl_usd"]),
        number(f["profit_factor"], 2),
        number(f["costs_usd"]),
    ]


def months(summary: Mapping[str, Any]) -> str:
    """Write net USD by month, a row for each year."""
    by_month = {name: figures["net_pnl_usd"] for name, figures in summary["by_month"].items()}
    if not by_month:
        return "<p>No trades, so no month has a result.</p>"
    years = range(int(min(by_month)[:4]), int(max(by_month)[:4]) + 1)
    rows = []
    for year in years:
        values = [by_month.get(f"{year:04d}-{month:02d}") for month in range(1, 13)]
        total = sum(value for value in values if value is not None)
        cells = [_coloured(value) for value in (*values, total)]
        rows.append([str(year), *cells])
    return table("Net USD by month of the session", ("Year", *MONTHS, "Year"), rows)


def rejections(summary: Mapping[str, Any], decisions: Sequence[Decision]) -> str:
    """Write why closes and proposals became no order, with bars for the gates."""
    counts: Mapping[str, int] = summary["rejections"]
    waits, no_setups = (number(counts.get(name, 0)) for name in _WAITING)
    steps = (
        f"{plural(summary['bars'], 'bar')} evaluated; {waits} in a regime that is not traded, "
        f"{no_setups} without a setup; "
        f"{plural(summary['decisions'], 'proposal')}, {number(summary['accepted'])} accepted, "
        f"{number(summary['unfilled'])} never filled, {plural(summary['trades'], 'trade')} closed."
    )
    failed = Counter(g.code.value for d in decisions for g in d.gates if not g.passed)
    unknown = Counter(g.code.value for d in decisions for g in d.gates if not g.known)
    names = [name for name in counts if name not in _WAITING]
    names += [name for name in failed if name not in names]
    if not names:
        return f"<p>{escape(steps)}</p><p>No proposal was rejected.</p>"
    most = max([counts.get(name, 0) for name in names] + [1])
    rows = [
        [
            escape(name),
            f"{_bar(counts.get(name, 0) / most)}"
            f'<span class="count">{number(counts.get(name, 0))}</span>',
            number(failed.get(name, 0)),
            number(unknown.get(name, 0)),
        ]
        for name in names
    ]
    heads = ("Gate", "First to fail", "Failed at all", "Value not known")
    return f"<p>{escape(steps)}</p>" + table("Proposals rejected, by gate", heads, rows)


def _bar(share: float) -> str:
    return (
        '<svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect width="{100.0 * share:.1f}" height="10"/></svg>'
    )


def kills(summary: Mapping[str, Any]) -> str:
    """Write the events of the kill switch."""
    events = summary["kill_switch"]
    if not events:
        return "<p>The kill switch was never raised.</p>"
    rows = [[new_york(e["ts"]), escape(e["rule"]), escape(e["state"])] for e in events]
    return table("Raised by", ("New York", "Rule", "State"), rows, words=True)
