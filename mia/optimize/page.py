"""The page study.html: the report of a search as one file without network or script."""

from collections.abc import Mapping
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

from mia.optimize import charts, page_tables
from mia.optimize.page_tables import signed, with_error
from mia.performance.report import embedded
from mia.performance.report_tables import session_date, table
from mia.performance.wording import (
    NOTHING,
    Remark,
    chance,
    in_r,
    interval,
    number,
    percent,
    plural,
    usd,
)


def render(report: Mapping[str, Any]) -> str:
    """Return the page. The same input gives the same text."""
    style = (files("mia.performance") / "report.css").read_text(encoding="utf-8")
    own = files("mia.optimize")
    trials = report["trials"]
    return Template((own / "study.html").read_text(encoding="utf-8")).substitute(
        title=escape(f"Search over {report['market']}"),
        subtitle=escape(
            f"{plural(report['sessions'], 'session')}, {session_date(report['first_session'])} to "
            f"{session_date(report['last_session'])}; {plural(trials['asked'], 'trial')}, "
            f"{plural(trials['variants_in_ledger'], 'variant')} counted; "
            f"{len(report['out_of_sample']['splits'])} splits, {report['scheme']}"
        ),
        style=style + (own / "study.css").read_text(encoding="utf-8"),
        remarks=_remarks(report),
        cards=_cards(report),
        outside=_outside(report),
        choice=page_tables.choice(report),
        importance=page_tables.importance(report),
        stability=page_tables.stability(report),
        trials=page_tables.trials(report),
        facts=page_tables.facts(report),
        data=embedded(report),
    )


def remarks(report: Mapping[str, Any]) -> list[Remark]:
    """Say what a search shows and what it does not, the verdict first."""
    shown = not report["verdict"].startswith(("No edge", "None of"))
    said = [Remark("good" if shown else "bad", report["verdict"])]
    outside, base = report["out_of_sample"], report["out_of_sample"]["settings_as_they_are"]
    if base is not None and outside["trades"] and base["trades"]:
        said.append(
            Remark(
                "note",
                f"In the same sessions the settings as they are made {usd(base['net_pnl_usd'])} "
                f"from {plural(base['trades'], 'trade')}, the choices "
                f"{usd(outside['net_pnl_usd'])} from {plural(outside['trades'], 'trade')}; costs "
                f"of {usd(base['costs_usd'])} and {usd(outside['costs_usd'])} are included.",
            )
        )
    if report["scheme"] in ("purged", "combinatorial"):
        said.append(
            Remark(
                "note",
                "Cross-validation chooses in later sessions too: nobody could have traded this "
                "curve. Walk forward is the scheme that asks what could have been traded.",
            )
        )
    near = report["neighbourhood"]
    if near is not None:
        said.append(
            Remark(
                "note",
                f"The best drawn trial has the objective {signed(near['best'])}, the "
                f"{near['neighbours']} nearest to it {signed(near['mean_of_neighbours'])} on "
                f"average, all others {signed(near['mean_of_all_others'])}. A peak whose "
                "neighbours are like all others is luck.",
            )
        )
    if report["market"].startswith("synthetic"):
        said.append(
            Remark(
                "bad",
                "The market was synthetic: this tests the program, and says nothing about trading.",
            )
        )
    said.append(
        Remark(
            "note",
            f"The count of {plural(report['trials']['variants_in_ledger'], 'variant')} holds for "
            "whoever tried all of them with this ledger. What was tried elsewhere, or by looking "
            "at charts of these data, is not in it.",
        )
    )
    return said


def _remarks(report: Mapping[str, Any]) -> str:
    items = "".join(
        f'<li class="{remark.tone}">{escape(remark.text)}</li>' for remark in remarks(report)
    )
    return f'<ul class="remarks">{items}</ul>'


def _cards(report: Mapping[str, Any]) -> str:
    best, outside, over = report["in_sample"], report["out_of_sample"], report["overfitting"]
    cards = (
        (
            "Best in sample, Sharpe",
            with_error(best),
            f"{plural(best['trades'], 'trade')}, {plural(best['sessions'], 'session')}, "
            f"costs {usd(best['costs_usd'])}",
        ),
        (
            "Deflated for the trials",
            chance(best["deflated_sharpe"]),
            f"{plural(best['variants_tried'], 'variant')}; by chance alone "
            f"{signed(best['best_sharpe_by_chance'])}",
        ),
        (
            "Out of sample, Sharpe",
            with_error(outside),
            f"{plural(outside['trades'], 'trade')}, {plural(outside['sessions'], 'session')}, "
            f"costs {usd(outside['costs_usd'])}",
        ),
        (
            "Out of sample, net",
            usd(outside["net_pnl_usd"], sign=True),
            f"win rate {percent(outside['win_rate'])} "
            f"({interval(outside['win_rate_wilson_95'], percent)})",
        ),
        (
            "Probability of overfitting",
            NOTHING if over is None else percent(over["probability"]),
            "too few trials or sessions"
            if over is None
            else f"{plural(over['variants'], 'variant')}, {plural(over['splits'], 'split')}",
        ),
    )
    items = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd><dd>{escape(sample)}</dd></div>"
        for name, value, sample in cards
    )
    return f'<dl class="cards">{items}</dl>'


def _outside(report: Mapping[str, Any]) -> str:
    part = report["out_of_sample"]
    firsts = [split["test_first"] for split in part["splits"]]
    text = (
        f"Net results of what was chosen, in sessions that did not choose it, one after the other; "
        f"{plural(part['sessions'], 'session')}. Dashed lines: another choice. Each block is an "
        f"account of its own that starts with {usd(report['start_equity_usd'])}."
    )
    curve = part["curve"]
    found = [f"<p>{escape(text)}</p>"]
    if any(curve["net_usd"]):
        found += [
            f'<div class="wide-chart">{charts.equity(curve, firsts)}</div>',
            f'<div class="wide-chart">{charts.drawdown(curve)}</div>',
        ]
    else:
        found.append("<p>No trade was made out of sample, so there is no curve.</p>")
    heads = (
        "Test", "Chosen", "Chosen in", "Sharpe in", "Sharpe out", "Trades", "Win rate, 95 %",
        "Expectancy, 95 %", "Net", "Costs",
    )  # fmt: skip
    rows = [_split(split) for split in part["splits"]]
    rows.append(_sums("Together", part))
    if part["settings_as_they_are"] is not None:
        rows.append(_sums("Settings as they are", part["settings_as_they_are"]))
    found.append(table("By test", heads, rows))
    if len(part["paths"]) > 1:
        values = ", ".join(signed(value) for value in part["paths"])
        found.append(
            f"<p>Sharpe ratios of the {len(part['paths'])} paths through the blocks: "
            f"{escape(values)}. They share sessions and trials, so they are no independent "
            "evidence.</p>"
        )
    return "".join(found)


def _days(first: int, last: int) -> str:
    return f"{session_date(first)} to {session_date(last)}"


def _split(split: Mapping[str, Any]) -> list[str]:
    name = _days(split["test_first"], split["test_last"])
    where = f"{number(split['train_sessions'])} sessions"
    if split["trial"] is None:
        return [escape(name), "none", where, *[NOTHING] * 7]
    return [
        escape(name),
        f"trial {split['trial']}",
        where,
        with_error(split["in"]),
        *_results(split["out"]),
    ]


def _sums(name: str, part: Mapping[str, Any]) -> list[str]:
    return [escape(name), "", "", "", *_results(part)]


def _results(part: Mapping[str, Any]) -> list[str]:
    return [
        with_error(part),
        number(part["trades"]),
        escape(f"{percent(part['win_rate'])} ({interval(part['win_rate_wilson_95'], percent)})"),
        escape(f"{in_r(part['expectancy_r'])} ({interval(part['expectancy_r_95'], in_r)})"),
        escape(usd(part["net_pnl_usd"], sign=True)),
        escape(usd(part["costs_usd"])),
    ]
