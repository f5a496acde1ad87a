"""Tables of a report about chance, risk and what trades go through."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from mia.performance.report_tables import session_date, table
from mia.performance.wording import (
    NOTHING,
    chance,
    in_r,
    interval,
    number,
    percent,
    plural,
    usd,
)

HEADS = ("", "Value", "95 %", "Sample")
Row = tuple[str, str, str, str]


def _table(caption: str, rows: Sequence[Row]) -> str:
    return table(caption, HEADS, [[escape(cell) for cell in row] for row in rows])


def _signed(value: float | None) -> str:
    return number(value, 2, sign=True)


def luck(summary: Mapping[str, Any]) -> str:
    """Write what is left of the Sharpe ratio after luck and choice."""
    chosen, daily = summary["selection"], summary["daily"]
    days = plural(summary["sessions"], "session")
    trials = plural(chosen["trials"], "trial")
    needed = chosen["minimum_track_record_sessions"]
    rows: list[Row] = [
        ("Sharpe, a year", number(summary["sharpe"], 2), interval(daily["sharpe_95"], _two), days),
        (
            "Sortino, a year",
            number(summary["sortino"], 2),
            interval(daily["sortino_95"], _two),
            days,
        ),
        ("P(Sharpe > 0)", chance(summary["probabilistic_sharpe"]), NOTHING, days),
        ("Best by chance alone", number(chosen["best_sharpe_by_chance"], 2), NOTHING, trials),
        (
            "P(Sharpe > best by chance)",
            chance(chosen["deflated_sharpe"]),
            NOTHING,
            f"{days}, {trials}",
        ),
        (
            "Sessions to show Sharpe > 0",
            NOTHING if needed is None else number(needed),
            NOTHING,
            days,
        ),
    ]
    outcome = chosen["overfitting"]
    if outcome is not None:
        sample = f"{number(outcome['variants'])} variants, {plural(outcome['splits'], 'split')}"
        rows += [
            ("P(the choice was overfitted)", percent(outcome["probability"]), NOTHING, sample),
            ("P(the choice loses outside)", percent(outcome["loss"]), NOTHING, sample),
        ]
    note = (
        "Intervals resample whole sessions. The best by chance alone is the Sharpe ratio that the "
        "best of so many independent trials without any edge is expected to show."
    )
    if chosen["trials"] == 1:
        note += (
            " One trial was declared: whoever tried more has to say so, "
            "and gets a lower probability."
        )
    return (
        _table("The Sharpe ratio after chance and choice", rows)
        + f"<p>{escape(note)}</p>"
        + _cone(summary["cone"])
    )


def _two(value: float) -> str:
    return number(value, 2)


def _cone(cone: Mapping[str, Any] | None) -> str:
    if cone is None:
        return "<p>Fewer than two sessions, so nothing can be drawn again.</p>"
    fall = cone["deepest_fall_usd"]
    text = (
        f"{number(cone['paths'])} other orders of the same sessions, drawn in blocks of "
        f"{cone['block_sessions']}: the bands hold 50 % and 90 % of them. "
        f"A loss ends {chance(cone['share_of_losing_paths'])} of them. Their deepest fall is "
        f"{usd(fall['p50'])} in the middle and above {usd(fall['p95'])} in one of twenty; "
        f"{chance(cone['share_of_deeper_falls'])} fall deeper than this run did."
    )
    return (
        "<h3>What the same sessions could have brought</h3>"
        '<div class="plot" id="cone-plot" hidden></div>'
        f'<p class="readout" id="cone-readout"></p><p class="quiet">{escape(text)}</p>'
    )


def risk(summary: Mapping[str, Any]) -> str:
    """Write the results of sessions, their tails and the growth they pay for."""
    d, g = summary["daily"], summary["growth"]
    days = plural(d["sessions"], "session")
    rows: list[Row] = [
        (
            "Mean of a session",
            usd(d["mean_usd"], sign=True),
            interval(d["mean_usd_95"], _usd),
            days,
        ),
        ("Standard deviation", usd(d["standard_deviation_usd"]), NOTHING, days),
        (
            "Winning sessions",
            percent(d["winning_share"]),
            interval(d["winning_share_wilson_95"], percent),
            f"{number(d['winning'])} of {number(d['sessions'])}, {number(d['losing'])} lost",
        ),
        ("Best session", usd(d["best_usd"], sign=True), NOTHING, days),
        ("Worst session", usd(d["worst_usd"], sign=True), NOTHING, days),
        ("Value at risk, worst 5 %", usd(d["value_at_risk_95_usd"]), NOTHING, days),
        ("Expected shortfall, worst 5 %", usd(d["expected_shortfall_95_usd"]), NOTHING, days),
        ("Value at risk, worst 1 %", usd(d["value_at_risk_99_usd"]), NOTHING, days),
        ("Expected shortfall, worst 1 %", usd(d["expected_shortfall_99_usd"]), NOTHING, days),
        ("Skewness", number(d["skewness"], 2), NOTHING, days),
        ("Kurtosis (normal: 3)", number(d["kurtosis"], 2), NOTHING, days),
        ("Growth a year", percent(g["yearly_growth"]), NOTHING, days),
        ("MAR: growth / deepest fall", number(g["mar"], 2), NOTHING, days),
        ("Calmar: the same, last 36 months", number(g["calmar"], 2), NOTHING, days),
        ("Ulcer index", percent(g["ulcer_index"], 2), NOTHING, days),
    ]
    return _table("Net results of sessions, flat ones included", rows) + _rolling(summary)


def _usd(value: float) -> str:
    return usd(value, sign=True)


def _rolling(summary: Mapping[str, Any]) -> str:
    found = summary["rolling"]
    sharpe, r, wins = found["sharpe"], found["expectancy_r"], found["win_rate"]
    parts = []
    for kind, title, part in (
        ("sharpe", f"Sharpe ratio of the last {sharpe['window_sessions']} sessions", sharpe),
        ("expectancy", f"Mean R of the last {r['window_trades']} trades", r),
        ("wins", f"Win rate of the last {wins['window_trades']} trades", wins),
    ):
        if part["windows"]:
            below = part.get("share_below_zero")
            text = (
                plural(part["windows"], "window")
                + ("" if below is None else f", {percent(below)} below zero")
                + f"; lowest {number(part['lowest'], 2)}, highest {number(part['highest'], 2)}, "
                f"latest {number(part['latest'], 2)}. "
                "Neighbouring windows share most of their data."
            )
            plot = f'<div class="plot low" id="rolling-{kind}" hidden></div>'
        else:
            text, plot = "Too few for one window.", ""
        parts.append(
            f"<figure><figcaption>{escape(title)}</figcaption>{plot}"
            f'<p class="quiet">{escape(text)}</p></figure>'
        )
    return f'<div class="pair">{"".join(parts)}</div>'


def under_water(summary: Mapping[str, Any]) -> str:
    """Write the deepest and longest times below a high."""
    found = summary["under_water"]
    if not found["count"]:
        return "<p>No session closed below a high.</p>"
    share = percent(found["share_of_sessions"])
    text = (
        f"{share} of {plural(summary['sessions'], 'session')} closed below a high, in "
        f"{plural(found['count'], 'fall')}; the longest took "
        f"{plural(found['longest_sessions'], 'session')}. "
    )
    current = found["current_sessions"]
    text += (
        f"The last has lasted {plural(current, 'session')} and is not over."
        if current
        else "The run ends at a high."
    )
    rows = [
        [
            session_date(fall["high"]) if fall["high"] else "start",
            session_date(fall["trough"]),
            session_date(fall["recovered"]) if fall["recovered"] else "not yet",
            escape(usd(fall["usd"])),
            escape(percent(fall["share"])),
            number(fall["sessions"]),
        ]
        for fall in found["deepest"]
    ]
    heads = ("High", "Lowest", "Regained", "Fall", "Of the high", "Sessions")
    return f"<p>{escape(text)}</p>" + table("Deepest falls between closes of sessions", heads, rows)


def in_depth(summary: Mapping[str, Any]) -> str:
    """Write what trades go through, what they cost and how they follow each other."""
    if not summary["trades"]:
        return "<p>No trade was closed.</p>"
    return _spread(summary) + _facts(summary)


def _spread(summary: Mapping[str, Any]) -> str:
    x = summary["excursions"]
    lines = (
        ("Net result, R", summary["r_distribution"]),
        ("Best open profit (MFE), R", x["best_r"]),
        ("Worst open loss (MAE), R", x["worst_r"]),
        ("Worst open loss of winners, R", x["worst_r_of_winners"]),
        ("Given back from the best, R", x["given_back_r"]),
        ("Slippage, ticks", summary["cost_shares"]["slippage_ticks"]),
        ("Minutes held", summary["activity"]["minutes_held"]),
    )
    names = ("mean", "p05", "p25", "p50", "p75", "p95")
    rows = [[escape(title), *(number(part[n], 2) for n in names)] for title, part in lines]
    heads = ("", "Mean", "5 %", "25 %", "Middle", "75 %", "95 %")
    caption = f"Distributions over {plural(summary['trades'], 'trade')}; R is the first stop"
    return table(caption, heads, rows)


def _facts(summary: Mapping[str, Any]) -> str:
    r, x, s = summary["r_distribution"], summary["excursions"], summary["streaks"]
    c, a = summary["cost_shares"], summary["activity"]
    rate = summary["rolling"]["win_rate"]
    n = plural(summary["trades"], "trade")
    sides = f"{number(r['winners'])} winners, {number(r['losers'])} losers"
    ahead = _share(x["losers_once_ahead_by_r"], x["losers"])
    days = plural(summary["sessions"], "session")
    rows: list[Row] = [
        (
            "Expectancy",
            in_r(summary["expectancy_r"]),
            interval(summary["expectancy_r_95"], in_r),
            n,
        ),
        ("Sum of results", in_r(r["sum"]), NOTHING, n),
        ("Deepest fall of the sum", f"{number(r['deepest_fall'], 3)} R", NOTHING, n),
        (
            f"Win rate of the last {rate['window_trades']} trades",
            percent(rate["latest"]),
            interval((rate["lowest"], rate["highest"]), percent),
            f"lowest to highest of {plural(rate['windows'], 'window')}",
        ),
        ("Mean win / mean loss", number(r["payoff"], 2), NOTHING, sides),
        ("Kelly fraction of two outcomes", number(r["kelly_fraction"], 3), NOTHING, sides),
        ("Best / worst open profit (edge ratio)", number(x["edge_ratio"], 2), NOTHING, n),
        (
            "Kept of the best open profit",
            percent(x["captured"]),
            NOTHING,
            plural(r["winners"], "winner"),
        ),
        (
            "Losers once ahead by 1 R",
            percent(ahead),
            interval(x["losers_once_ahead_by_r_wilson_95"], percent),
            f"{number(x['losers_once_ahead_by_r'])} of {plural(x['losers'], 'loser')}",
        ),
        ("Longest run of winners", number(s["longest_wins"]), NOTHING, n),
        ("Longest run of losers", number(s["longest_losses"]), NOTHING, n),
        (
            "Runs more than by chance, in deviations",
            _signed(s["runs_z"]),
            NOTHING,
            plural(s["runs"], "run"),
        ),
        ("Commissions of the gross gains", percent(c["commissions_share_of_gains"]), NOTHING, n),
        ("Slippage of the gross gains", percent(c["slippage_share_of_gains"]), NOTHING, n),
        ("Commissions a trade, USD", number(c["commissions_usd_per_trade"], 2), NOTHING, n),
        ("Slippage a trade, USD", number(c["slippage_usd_per_trade"], 2), NOTHING, n),
        ("Trades a session", number(a["trades_per_session"], 2), NOTHING, days),
        ("Sessions with a trade", percent(a["traded_share_of_sessions"]), NOTHING, days),
        (
            "Longest time without a trade",
            plural(a["longest_silence_sessions"], "session"),
            NOTHING,
            days,
        ),
        ("Time long", percent(a["long_share_of_bars"]), NOTHING, plural(summary["bars"], "bar")),
        ("Time short", percent(a["short_share_of_bars"]), NOTHING, plural(summary["bars"], "bar")),
    ]
    return _table("Ratios, streaks, costs and activity", rows)


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
