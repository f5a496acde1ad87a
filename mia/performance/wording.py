"""Figures as text, and what the figures of a run allow one to say in plain words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

NOTHING = "–"
NO_BREAK = "\N{NO-BREAK SPACE}"
FEW_TRADES = 30
"""Below this many trades an interval is too rough to lean on."""
CONFIDENT = 0.95
LONG_SILENCE = (20, 0.10)
"""Sessions, and share of all, without a trade at the end from which on it is worth a remark."""
WIN_RATE_GOAL = 0.60


@dataclass(frozen=True, slots=True)
class Remark:
    """A sentence about a run; `tone` is ``good``, ``bad`` or ``note``."""

    tone: str
    text: str


def number(value: float | None, digits: int = 0, sign: bool = False) -> str:
    """Write a number with thousands apart and a true minus; a dash for None."""
    if value is None:
        return NOTHING
    text = f"{value:{'+' if sign else ''},.{digits}f}"
    if not text.strip("+-0.,"):
        text = text.lstrip("+-")
    return text.replace("-", "\N{MINUS SIGN}").replace(",", "\N{NARROW NO-BREAK SPACE}")


def usd(value: float | None, sign: bool = False) -> str:
    """Write whole USD."""
    return NOTHING if value is None else f"{number(value, 0, sign)}{NO_BREAK}USD"


def percent(value: float | None, digits: int = 1) -> str:
    """Write a share as per cent."""
    return NOTHING if value is None else f"{number(100.0 * value, digits)}{NO_BREAK}%"


def chance(value: float | None) -> str:
    """Write a probability as per cent, never as certain."""
    if value is None:
        return NOTHING
    if value > 0.999:
        return f"above 99.9{NO_BREAK}%"
    return f"below 0.1{NO_BREAK}%" if value < 0.001 else percent(value)


def in_r(value: float | None) -> str:
    """Write a multiple of the risk at entry."""
    return NOTHING if value is None else f"{number(value, 3, sign=True)}{NO_BREAK}R"


def interval(bounds: Sequence[float | None], write: Any = number) -> str:
    """Write an interval with `write` for its ends."""
    low, high = bounds
    if low is None or high is None:
        return NOTHING
    return f"{write(low)} to {write(high)}"


def plural(count: int, one: str, many: str | None = None) -> str:
    """Write a count with its noun."""
    return f"{number(count)} {one if count == 1 else many or one + 's'}"


def remarks(summary: Mapping[str, Any]) -> list[Remark]:
    """Say what the figures of a run show and what they do not.

    Returns
    -------
    list of Remark
        The most important first. Nothing is called good without an interval above zero.
    """
    if not summary["trades"]:
        said = [Remark("bad", _no_trades(summary))]
    else:
        said = [
            *_edge(summary),
            *_choice(summary),
            *_size(summary),
            *_silence(summary),
            *_win_rate(summary),
            *_costs(summary),
        ]
    return [*said, *_conditions(summary)]


def _no_trades(summary: Mapping[str, Any]) -> str:
    where = plural(summary["sessions"], "session")
    if summary.get("unfilled"):
        what = plural(summary["unfilled"], "order was", "orders were")
        cause = f" {what} sent and never filled."
    elif summary["decisions"]:
        cause = " Every proposal was rejected or not sent; the reasons are counted below."
    elif summary["bars"]:
        cause = " No bar led to a proposal."
    else:
        cause = " No bar was evaluated."
    return (
        f"No trade was closed in {where}.{cause} "
        "Whether there is an edge, nobody can tell from this run."
    )


def _edge(summary: Mapping[str, Any]) -> list[Remark]:
    low, high = summary["expectancy_r_95"]
    said = []
    if low is None or high is None:
        said.append(
            Remark(
                "bad",
                "All trades lie in one session, so the expectancy has no interval: "
                "no edge is shown.",
            )
        )
    elif low > 0.0:
        text = (
            f"The 95 % interval of the expectancy, {interval((low, high), in_r)}, lies above zero."
        )
        said.append(Remark("good", text))
    elif high < 0.0:
        text = (
            f"The 95 % interval of the expectancy, {interval((low, high), in_r)}, lies below zero: "
        )
        said.append(Remark("bad", text + "these rules lost money, more than chance explains."))
    else:
        text = (
            f"The 95 % interval of the expectancy, {interval((low, high), in_r)}, includes zero: "
        )
        said.append(Remark("bad", text + "no edge is shown."))
    probability = summary["probabilistic_sharpe"]
    text = f"The probability that the true Sharpe ratio exceeds zero is {chance(probability)}, "
    if probability is None:
        said.append(
            Remark("note", "The Sharpe ratio is undefined for so few or so equal sessions.")
        )
    elif probability >= CONFIDENT:
        said.append(Remark("good", text + "if this was the only variant ever tried."))
    else:
        said.append(Remark("bad", text + "short of the usual 95 %."))
    return said


def _choice(summary: Mapping[str, Any]) -> list[Remark]:
    chosen = summary["selection"]
    said = []
    if chosen["trials"] > 1:
        best, deflated = chosen["best_sharpe_by_chance"], chosen["deflated_sharpe"]
        text = (
            f"This is one of {number(chosen['trials'])} trials; without any edge the best of them "
            f"would be expected to show a Sharpe ratio of {number(best, 2)}. The probability that "
            f"the true one exceeds that is {chance(deflated)}"
        )
        if deflated is None:
            said.append(Remark("bad", f"This is one of {number(chosen['trials'])} trials."))
        elif deflated >= CONFIDENT:
            said.append(Remark("good", f"{text}."))
        else:
            said.append(Remark("bad", f"{text}, short of the usual 95 %."))
    needed, days = chosen["minimum_track_record_sessions"], summary["sessions"]
    if needed is not None and needed > days:
        text = (
            f"Results like these would have to go on for {number(needed)} sessions "
            f"to show a Sharpe ratio above zero; there are {number(days)}."
        )
        said.append(Remark("note", text))
    outcome = chosen["overfitting"]
    if outcome is not None:
        tone = "bad" if outcome["probability"] > 0.05 else "good"
        text = (
            f"In {percent(outcome['probability'])} of {plural(outcome['splits'], 'split')} of the "
            f"sessions the best of {plural(outcome['variants'], 'variant')} in one half was no "
            "better than the middle in the other (probability of overfitting)."
        )
        said.append(Remark(tone, text))
    return said


def _size(summary: Mapping[str, Any]) -> list[Remark]:
    n, days = summary["trades"], summary["sessions"]
    if n < FEW_TRADES:
        text = f"{plural(n, 'trade')} in {plural(days, 'session')} are too few to lean on"
        return [Remark("bad", f"{text}: below {FEW_TRADES} even the intervals are rough.")]
    return [
        Remark(
            "note",
            f"The sample is {plural(n, 'trade')} in {plural(days, 'session')}; intervals resample "
            "whole sessions and know nothing of markets unlike these.",
        )
    ]


def _silence(summary: Mapping[str, Any]) -> list[Remark]:
    silent, days = summary["sessions_after_last_trade"], summary["sessions"]
    sessions, share = LONG_SILENCE
    if silent < sessions or silent < share * days:
        return []
    text = f"The last {number(silent)} of {number(days)} sessions are without a trade: trading "
    return [
        Remark("bad", text + "stopped, and figures of the whole period mix both parts."),
    ]


def _win_rate(summary: Mapping[str, Any]) -> list[Remark]:
    low, high = summary["win_rate_wilson_95"]
    place = "above" if low > WIN_RATE_GOAL else "below" if high < WIN_RATE_GOAL else "around"
    text = f"The Wilson interval of the win rate, {interval((low, high), percent)}, lies {place} "
    return [
        Remark(
            "note",
            f"{text}{percent(WIN_RATE_GOAL, 0)}. "
            "A win rate says nothing without the sizes of wins and losses.",
        )
    ]


def _costs(summary: Mapping[str, Any]) -> list[Remark]:
    costs, gross, net = (summary[f"{name}_usd"] for name in ("costs", "gross_pnl", "net_pnl"))
    each = costs / summary["trades"]
    text = f"Costs took {usd(costs)}, {number(each, 2)} USD a trade"
    if costs == 0.0:
        return [Remark("bad", "No costs were charged: real trading would have paid them.")]
    if gross > 0.0 and net <= 0.0:
        return [Remark("bad", f"{text}, and turned a gain of {usd(gross)} into a loss.")]
    if gross > 0.0:
        text += f", {percent(costs / gross)} of the gain before costs"
    return [Remark("note", f"{text}. Slippage is in the prices of the fills already.")]


def _conditions(summary: Mapping[str, Any]) -> list[Remark]:
    said = []
    # What is traded over the wire is "synthetic, as wire".
    if str(summary.get("source_kind", "")).startswith("synthetic"):
        text = (
            "The market was synthetic: this run tests the program, and says nothing about trading."
        )
        said.append(Remark("bad", text))
    if "broker" in summary:
        broker = summary["broker"]
        text = f"Traded by the trader itself, over TCP; all fills are those of the {broker}."
        said.append(Remark("note", text))
    said += _account(summary)
    if summary.get("open_at_end"):
        text = "A position was open when the data ended; it is in no figure."
        said.append(Remark("note", text))
    missing = [
        name
        for key, name in (("vix_known", "the VIX"), ("calendar_known", "the economic calendar"))
        if summary.get(key) is False
    ]
    if missing:
        text = f"The run did not know {' or '.join(missing)}; rules that ask for it went without."
        said.append(Remark("note", text))
    if "journal" in summary:
        return said
    text = "These are simulated fills on past data. Whoever tries many variants and shows the best "
    said.append(Remark("note", text + "one will see figures like these without any edge."))
    return said


def _account(summary: Mapping[str, Any]) -> list[Remark]:
    """Say where the figures of an account come from, and whether they are all there."""
    journal = summary.get("journal")
    if journal is None:
        return []
    moved = f"the equity moved by {number(journal['equity_change_usd'], 2, sign=True)} USD"
    text = (
        f"An account: {plural(journal['runs'], 'run')} of the trader; by its journal "
        f"{plural(journal['closed_trades'], 'trade')} closed and {moved}."
    )
    said = [Remark("note", f"{text} Commissions are those of the broker's reports.")]
    if journal["missing_trades"] or journal["unexplained_usd"]:
        text = (
            f"The snapshots lack {plural(journal['missing_trades'], 'trade')} and "
            f"{number(journal['unexplained_usd'], 2, sign=True)} USD of what the journal has: "
            "the figures are of what they hold."
        )
        said.append(Remark("bad", text))
    return said
