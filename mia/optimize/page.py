"""The page study.html: the report of a search as one file without network or script."""

from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

from mia.optimize import charts
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

SHOWN_TRIALS = 200
SCHEMES = {
    "anchored": "Walk forward: chosen in all sessions before each test",
    "rolling": "Walk forward: chosen in the last blocks before each test",
    "purged": "Purged cross-validation: chosen in all other blocks, later ones included",
    "combinatorial": "Combinatorial purged cross-validation: each pair of blocks tested once",
}


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
        choice=_choice(report),
        importance=_importance(report),
        stability=_stability(report),
        trials=_trials(report),
        facts=_facts(report),
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
                f"The best drawn trial has the objective {_two(near['best'])}, the "
                f"{near['neighbours']} nearest to it {_two(near['mean_of_neighbours'])} on "
                f"average, all others {_two(near['mean_of_all_others'])}. A peak whose "
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


def _two(value: float | None) -> str:
    return number(value, 2, sign=True)


def _with_error(part: Mapping[str, Any]) -> str:
    error = part["sharpe_standard_error"]
    return _two(part["sharpe"]) + ("" if error is None else f" ± {number(error, 2)}")


def _cards(report: Mapping[str, Any]) -> str:
    best, outside, over = report["in_sample"], report["out_of_sample"], report["overfitting"]
    cards = (
        (
            "Best in sample, Sharpe",
            _with_error(best),
            f"{plural(best['trades'], 'trade')}, {plural(best['sessions'], 'session')}, "
            f"costs {usd(best['costs_usd'])}",
        ),
        (
            "Deflated for the trials",
            chance(best["deflated_sharpe"]),
            f"{plural(best['variants_tried'], 'variant')}; by chance alone "
            f"{_two(best['best_sharpe_by_chance'])}",
        ),
        (
            "Out of sample, Sharpe",
            _with_error(outside),
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
        values = ", ".join(_two(value) for value in part["paths"])
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
        _with_error(split["in"]),
        *_results(split["out"]),
    ]


def _sums(name: str, part: Mapping[str, Any]) -> list[str]:
    return [escape(name), "", "", "", *_results(part)]


def _results(part: Mapping[str, Any]) -> list[str]:
    return [
        _with_error(part),
        number(part["trades"]),
        escape(f"{percent(part['win_rate'])} ({interval(part['win_rate_wilson_95'], percent)})"),
        escape(f"{in_r(part['expectancy_r'])} ({interval(part['expectancy_r_95'], in_r)})"),
        escape(usd(part["net_pnl_usd"], sign=True)),
        escape(usd(part["costs_usd"])),
    ]


def _choice(report: Mapping[str, Any]) -> str:
    best, outside, over = report["in_sample"], report["out_of_sample"], report["overfitting"]
    days, tried = plural(best["sessions"], "session"), plural(best["variants_tried"], "variant")
    needed = best["minimum_track_record_sessions"]
    rows = [
        ["Best in sample: Sharpe, a year", _with_error(best), f"trial {best['trial']}, {days}"],
        ["P(Sharpe > 0), as if never chosen", chance(best["probabilistic_sharpe"]), days],
        ["Deviation of the variants", number(best["sharpe_deviation_of_variants"], 2), tried],
        ["Best by chance alone", number(best["best_sharpe_by_chance"], 2), tried],
        [
            "P(Sharpe > best by chance), deflated",
            chance(best["deflated_sharpe"]),
            f"{days}, {tried}",
        ],
        [
            "Sessions to show Sharpe > 0, as if never chosen",
            NOTHING if needed is None else number(needed),
            days,
        ],
        [
            "Expectancy in sample",
            f"{in_r(best['expectancy_r'])} ({interval(best['expectancy_r_95'], in_r)})",
            plural(best["trades"], "trade"),
        ],
        [
            "Blocks in which the rules stopped the account",
            number(best["halted_blocks"]),
            f"of {best['blocks']}",
        ],
        [
            "Out of sample: P(Sharpe > 0)",
            chance(outside["probabilistic_sharpe"]),
            plural(outside["sessions"], "session"),
        ],
        [
            "Out of sample: Sharpe, 95 % by bootstrap",
            interval(outside["sharpe_95"], _two),
            plural(outside["sessions"], "session"),
        ],
    ]
    if over is not None:
        sample = f"{plural(over['variants'], 'variant')}, {plural(over['splits'], 'split')}"
        rows += [
            ["P(the choice was overfitted)", percent(over["probability"]), sample],
            ["P(the choice loses outside)", percent(over["loss"]), sample],
        ]
    cells = [[escape(cell) for cell in row] for row in rows]
    return table("The best of many", ("", "Value", "Sample"), cells)


def _importance(report: Mapping[str, Any]) -> str:
    ranked = report["importance"]
    if not ranked:
        return "<p>Fewer than three trials have a defined objective, so nothing can be ranked.</p>"
    text = (
        f"Share of the variance of the objective over {plural(report['scored_trials'], 'trial')} "
        "that lies between classes of one parameter (eta squared, at most five classes); the mark "
        "is its mean when results are dealt out at random. Interactions are in no share."
    )
    rows = []
    for part in ranked:
        known = [
            (value, name)
            for value, name in zip(part["mean_objective"], part["classes"], strict=True)
            if value is not None
        ]
        best = max(known)
        rows.append(
            [
                f"<code>{escape(part['name'])}</code>",
                charts.share_bar(part["share"], part["by_chance"])
                + f'<span class="count">{percent(part["share"])}</span>',
                percent(part["by_chance"]),
                number(part["p_value"], 3),
                escape(f"{best[1]}: {_two(best[0])}"),
            ]
        )
    heads = ("Parameter", "Share of variance", "By chance", "p", "Best class: mean objective")
    return f"<p>{escape(text)}</p>" + table("By main effect", heads, rows)


def _stability(report: Mapping[str, Any]) -> str:
    if not report["stability"]:
        return "<p>Fewer than two parameters or three trials, so there is no map.</p>"
    digits = 2 if report["objective"] == "sharpe" else 0
    text = (
        "Mean objective over all sessions by classes of two parameters, with the number of trials; "
        "empty cells have none. A choice is stable where its cell is like the cells around it. "
        "These maps have seen every session: they explain, and do not prove."
    )
    figures = "".join(
        f"<figure>{charts.heat_map(part, digits)}</figure>" for part in report["stability"]
    )
    return f'<p>{escape(text)}</p><div class="maps">{figures}</div>'


def _trials(report: Mapping[str, Any]) -> str:
    names = list(report["space"])
    rows: Sequence[Mapping[str, Any]] = sorted(
        report["trial_rows"],
        key=lambda row: (row.get("sharpe") is None, -(row.get("sharpe") or 0.0), row["trial"]),
    )
    heads = ("Trial", "State", "Sharpe", "Trades", "Win rate", "Expectancy", "Net", "Costs",
             "Halted", *names)  # fmt: skip
    cells = [_trial(row, names) for row in rows[:SHOWN_TRIALS]]
    more = len(rows) - SHOWN_TRIALS
    note = f"<p>{more} more are in trials.csv and study.json.</p>" if more > 0 else ""
    return table("By Sharpe ratio over the sessions that each ran", heads, cells) + note


def _trial(row: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    first = f"{row['trial']}" + ("" if row["params"] else " (as they are)")
    values = [escape(_value(row["params"].get(name))) for name in names]
    if "trades" not in row:
        state = escape(row["state"] + (f": {row['note']}" if row["note"] else ""))
        return [first, f'<span title="{state}">{escape(row["state"])}</span>', *[NOTHING] * 7,
                *values]  # fmt: skip
    return [
        first,
        escape(row["state"]),
        _with_error(row),
        number(row["trades"]),
        percent(row["win_rate"]),
        in_r(row["expectancy_r"]),
        escape(usd(row["net_pnl_usd"], sign=True)),
        escape(usd(row["costs_usd"])),
        number(row["halted_blocks"]),
        *values,
    ]


def _value(value: Any) -> str:
    return NOTHING if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _facts(report: Mapping[str, Any]) -> str:
    trials = report["trials"]
    width = report["bar_seconds"]
    facts = {
        "Scheme": SCHEMES[report["scheme"]],
        "Blocks": f"{report['blocks']}, each after {report['warmup_sessions']} sessions of warm-up",
        "Objective": report["objective"],
        "Sampler": f"{report['sampler']}, seed {report['seed']}",
        "Trials": (
            f"{trials['asked']} asked: {trials['complete']} complete, {trials['pruned']} pruned, "
            f"{trials['repeated']} repeated, {trials['invalid']} refused"
        ),
        "Data": f"bars of {width} s" if width else "trades",
        "Study": report["study"],
        "Data hash": report["data_sha256"],
        "Code hash": report["code_sha256"],
        "Version": report["code_version"],
    }
    items = "".join(
        f'<div class="{"wide" if len(text) > 40 else ""}"><dt>{escape(name)}</dt>'
        f"<dd>{escape(text)}</dd></div>"
        for name, text in facts.items()
    )
    rows = [
        [f"<code>{escape(name)}</code>", escape(_described(part))]
        for name, part in report["space"].items()
    ]
    return f'<dl class="facts">{items}</dl>' + table(
        "Space", ("Parameter", "Values"), rows, words=True
    )


def _described(part: Mapping[str, Any]) -> str:
    if "choices" in part:
        return ", ".join(str(choice) for choice in part["choices"])
    step = f", step {part['step']:g}" if "step" in part else ""
    return f"{part['low']:g} to {part['high']:g}{step}" + (", in logarithm" if "log" in part else "")
