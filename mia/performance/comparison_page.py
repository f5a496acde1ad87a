"""A page about two runs: differences with intervals, and where they part."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from mia.performance.report import embedded
from mia.performance.report_tables import table
from mia.performance.results import replacing
from mia.performance.summary import NEW_YORK
from mia.performance.wording import NOTHING, interval, number, plural

SHOWN = 200
"""Differing things listed in the page; the embedded JSON has them all."""

DIFFERENCES = {
    "mean_session_usd": ("Mean of a session, USD", 2),
    "sharpe": ("Sharpe, a year", 2),
    "expectancy_r": ("Mean R of a trade", 3),
    "win_rate": ("Win rate", 3),
}
THINGS = ("decisions", "fills", "trades")


def difference_rows(comparison: Mapping[str, Any]) -> list[list[str]]:
    """Return name, a, b, b less a, and its interval, as text."""
    rows = []
    for key, (name, digits) in DIFFERENCES.items():
        part = comparison["differences"][key]

        def signed(value: float, digits: int = digits) -> str:
            return number(value, digits, sign=True)

        apart = part["difference"]
        rows.append(
            [
                name,
                number(part["a"], digits),
                number(part["b"], digits),
                NOTHING if apart is None else signed(apart),
                interval(part["difference_95"], signed),
            ]
        )
    return rows


def verdict(comparison: Mapping[str, Any]) -> str:
    """Say whether the mean result of a session differs."""
    both = comparison["sessions"]["both"]
    low, high = comparison["differences"]["mean_session_usd"]["difference_95"]
    where = plural(both, "shared session")
    if low is None or high is None:
        return f"In {where} nothing can be said about a difference."
    if low == high == 0.0:
        return f"In {where} the results are equal, session by session."
    if low > 0.0 or high < 0.0:
        which = "B earned more" if low > 0.0 else "A earned more"
        return f"In {where} {which} a session, by more than chance explains at 95 %."
    return f"In {where} no difference is shown: the interval of the mean session includes zero."


def divergence_rows(divergence: Mapping[str, Any]) -> list[list[str]]:
    """Return how many things are in both runs, in one alone, and differ, as text."""
    return [
        [
            name,
            number(part["both"]),
            number(len(part["only_a"])),
            number(len(part["only_b"])),
            number(part["differing"]),
            ", ".join(f"{key} {count}" for key, count in part["fields"].items()) or NOTHING,
        ]
        for name, part in ((name, divergence[name]) for name in THINGS)
    ]


def apart_lines(divergence: Mapping[str, Any]) -> list[list[str]]:
    """Return every thing that differs or that one run alone has, trades first, as text."""
    rows = []
    for name in reversed(THINGS):
        part = divergence[name]
        one = name[:-1]
        rows += [[one, _dated(label), "only in A"] for label in part["only_a"]]
        rows += [[one, _dated(label), "only in B"] for label in part["only_b"]]
        rows += [[one, _dated(entry[one]), _values(entry)] for entry in part["list"]]
    return rows


def _dated(label: str) -> str:
    """Write the time that a decision's label begins with as New York's; ids stay as they are."""
    first, _, rest = label.partition(" ")
    if not first.isdecimal():
        return label
    moment = datetime.fromtimestamp(int(first) // 1_000_000_000, NEW_YORK)
    return f"{moment:%Y-%m-%d %H:%M:%S} {rest}"


def _values(entry: Mapping[str, Any]) -> str:
    told = []
    for key in entry["differs"]:
        values = entry.get(key)
        told.append(key if values is None else f"{key} {values['a']} / {values['b']}")
    return "; ".join(told)


def render(comparison: Mapping[str, Any], divergence: Mapping[str, Any]) -> str:
    """Return the page. The same input gives the same text."""
    sessions = comparison["sessions"]
    asset = files("mia.performance")
    return Template((asset / "comparison.html").read_text(encoding="utf-8")).substitute(
        title=escape(f"{Path(comparison['a']).name} against {Path(comparison['b']).name}"),
        subtitle=escape(f"A: {comparison['a']}; B: {comparison['b']}."),
        style=(asset / "report.css").read_text(encoding="utf-8"),
        differences=f"<p>{escape(verdict(comparison))}</p>"
        + _table(
            f"B less A in {plural(sessions['both'], 'session')} that both have; "
            "each drawn session is drawn for both",
            ("", "A", "B", "B less A", "95 %"),
            difference_rows(comparison),
        ),
        figures=_table(
            f"A: {plural(sessions['a'], 'session')}, B: {plural(sessions['b'], 'session')}",
            ("", "A", "B"),
            [
                [key.replace("_", " "), _figure(key, part["a"]), _figure(key, part["b"])]
                for key, part in comparison["figures"].items()
            ],
        ),
        identity=_identity(comparison["identity"]),
        divergence=_divergence(divergence),
        data=embedded({"comparison": comparison, "divergence": divergence}),
    )


def _figure(key: str, value: float | None) -> str:
    digits = 0 if isinstance(value, int) else 2 if key.endswith("_usd") else 3
    return number(value, digits)


def _table(
    caption: str, heads: Sequence[str], rows: Sequence[Sequence[str]], *, words: bool = False
) -> str:
    return table(caption, heads, [[escape(cell) for cell in row] for row in rows], words=words)


def _identity(different: Mapping[str, Any]) -> str:
    if not different:
        return "<p>Both are made from the same data, configuration and code.</p>"
    rows = [
        [key.replace("_", " "), str(part["a"])[:16], str(part["b"])[:16]]
        for key, part in different.items()
    ]
    return _table("What differs", ("", "A", "B"), rows, words=True)


def _divergence(divergence: Mapping[str, Any]) -> str:
    heads = ("", "In both", "Only A", "Only B", "Differ", "Fields that differ")
    text = (
        "Every decision, fill and trade is the same."
        if divergence["identical"]
        else "Decisions are paired by time and proposal, fills by bracket and role, trades by id."
    )
    parts = [f"<p>{escape(text)}</p>", _table("Pairs", heads, divergence_rows(divergence))]
    trades, fills = divergence["trades"], divergence["fills"]
    spreads = (
        ("Entries of trades, ticks worse in B", trades["entry_worse_ticks"]),
        ("Exits of trades, ticks worse in B", trades["exit_worse_ticks"]),
        ("Fills, ticks worse in B", fills["worse_ticks"]),
        ("Fills, seconds later in B", fills["later_seconds"]),
    )
    names = ("mean", "p05", "p50", "p95")
    rows = [[title, *(number(part[n], 2) for n in names)] for title, part in spreads]
    parts.append(_table("Pairs in figures", ("", "Mean", "5 %", "Middle", "95 %"), rows))
    lines = apart_lines(divergence)
    if lines:
        caption = f"{number(min(SHOWN, len(lines)))} of {number(len(lines))} differences"
        parts.append(_table(caption, ("", "Which", "A / B"), lines[:SHOWN], words=True))
    return "".join(parts)


def write_page(path: Path, comparison: Mapping[str, Any], divergence: Mapping[str, Any]) -> None:
    """Write the page; it fetches nothing, and its policy forbids it to.

    Raises
    ------
    DataError
        If the file cannot be written.
    """
    page = render(comparison, divergence)
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8", newline="\n")
