"""The tables of a search's page: what the choice leaves, parameters, maps, trials."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from mia.optimize import charts
from mia.performance.report_tables import table
from mia.performance.wording import NOTHING, chance, in_r, interval, number, percent, plural, usd

SHOWN_TRIALS = 200
SCHEMES = {
    "anchored": "Walk forward: chosen in all sessions before each test",
    "rolling": "Walk forward: chosen in the last blocks before each test",
    "purged": "Purged cross-validation: chosen in all other blocks, later ones included",
    "combinatorial": "Combinatorial purged cross-validation: each pair of blocks tested once",
}


def signed(value: float | None) -> str:
    """Write a figure with its sign and two digits."""
    return number(value, 2, sign=True)


def with_error(part: Mapping[str, Any]) -> str:
    """Write a Sharpe ratio with its standard error."""
    error = part["sharpe_standard_error"]
    return signed(part["sharpe"]) + ("" if error is None else f" ± {number(error, 2)}")


def choice(report: Mapping[str, Any]) -> str:
    """Write what is left of the best trial after the count of trials."""
    best, outside, over = report["in_sample"], report["out_of_sample"], report["overfitting"]
    days, tried = plural(best["sessions"], "session"), plural(best["variants_tried"], "variant")
    needed = best["minimum_track_record_sessions"]
    rows = [
        ["Best in sample: Sharpe, a year", with_error(best), f"trial {best['trial']}, {days}"],
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
            interval(outside["sharpe_95"], signed),
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


def importance(report: Mapping[str, Any]) -> str:
    """Write how much of the variance each parameter explains."""
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
                escape(f"{best[1]}: {signed(best[0])}"),
            ]
        )
    heads = ("Parameter", "Share of variance", "By chance", "p", "Best class: mean objective")
    return f"<p>{escape(text)}</p>" + table("By main effect", heads, rows)


def stability(report: Mapping[str, Any]) -> str:
    """Draw the objective over pairs of parameters."""
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


def trials(report: Mapping[str, Any]) -> str:
    """Write one row per trial, the best first."""
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
        with_error(row),
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


def facts(report: Mapping[str, Any]) -> str:
    """Write what was run, and the space."""
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
    logarithm = ", in logarithm" if "log" in part else ""
    return f"{part['low']:g} to {part['high']:g}{step}{logarithm}"
