"""Charts of a study as SVG text; colours are classes of the page's style sheet."""

from collections.abc import Mapping, Sequence
from html import escape
from itertools import accumulate
from typing import Any

from mia.performance.gex_charts import ticks
from mia.performance.wording import number

WIDTH, HEIGHT, LOW = 960.0, 260.0, 120.0
LEFT, RIGHT, TOP, BOTTOM = 62.0, 12.0, 12.0, 26.0
CELL_WIDTH, CELL_HEIGHT = 88.0, 34.0
SIDE = 128.0
TITLE = 20.0
STRONGEST = 0.45
"""Opacity of the cell that is farthest from zero."""


def _scale(low: float, high: float, start: float, end: float) -> Any:
    span = high - low or 1.0
    return lambda value: start + (value - low) / span * (end - start)


def _grid(values: Sequence[float], y: Any) -> str:
    return "".join(
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(v):.1f}" y2="{y(v):.1f}"/>'
        f'<text x="{LEFT - 6}" y="{y(v) + 4:.1f}" text-anchor="end">{number(v)}</text>'
        for v in values
    )


def _date(session: int) -> str:
    text = str(session)
    return f"{text[:4]}-{text[4:6]}-{text[6:]}"


def equity(curve: Mapping[str, Any], splits: Sequence[int]) -> str:
    """Draw the sum of results out of sample, with a line where another choice begins.

    Parameters
    ----------
    curve : mapping
        ``session`` and ``net_usd``.
    splits : sequence of int
        First sessions of the tests.
    """
    sums = [0.0, *accumulate(curve["net_usd"])]
    n = len(sums) - 1
    low, high = min(sums), max(sums)
    x = _scale(0, n, LEFT, WIDTH - RIGHT)
    y = _scale(low, high, HEIGHT - BOTTOM, TOP)
    points = " ".join(f"{x(k):.1f},{y(v):.1f}" for k, v in enumerate(sums))
    rules = "".join(
        f'<line class="rule" x1="{x(k):.1f}" x2="{x(k):.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>'
        for k, session in enumerate(curve["session"])
        if session in splits and k
    )
    zero = f'<line class="zero" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(0):.1f}" y2="{y(0):.1f}"/>'
    body = (
        _grid(ticks(low, high, 5), y)
        + zero
        + rules
        + f'<polyline class="curve" points="{points}"/>'
        + _ends(curve["session"], HEIGHT)
    )
    return _svg(WIDTH, HEIGHT, body, "Sum of net results out of sample, USD")


def drawdown(curve: Mapping[str, Any]) -> str:
    """Draw how far the sum lies below its high."""
    sums = [0.0, *accumulate(curve["net_usd"])]
    falls = [value - high for value, high in zip(sums, accumulate(sums, max), strict=True)]
    x = _scale(0, len(sums) - 1, LEFT, WIDTH - RIGHT)
    y = _scale(min(falls), 0.0, LOW - BOTTOM, TOP)
    points = " ".join(f"{x(k):.1f},{y(v):.1f}" for k, v in enumerate(falls))
    area = f"{x(0):.1f},{y(0):.1f} {points} {x(len(sums) - 1):.1f},{y(0):.1f}"
    body = (
        _grid(ticks(min(falls), 0.0, 3), y)
        + f'<polygon class="under" points="{area}"/>'
        + _ends(curve["session"], LOW)
    )
    return _svg(WIDTH, LOW, body, "Fall below the high out of sample, USD")


def _ends(sessions: Sequence[int], height: float) -> str:
    y = height - 6
    return (
        f'<text x="{LEFT}" y="{y}">{_date(sessions[0])}</text>'
        f'<text x="{WIDTH - RIGHT}" y="{y}" text-anchor="end">{_date(sessions[-1])}</text>'
    )


def heat_map(part: Mapping[str, Any], digits: int) -> str:
    """Draw the mean objective over the cells of two parameters; the count of trials below it."""
    rows, columns = part["row_names"], part["column_names"]
    known = [value for line in part["mean_objective"] for value in line if value is not None]
    most = max((abs(value) for value in known), default=1.0) or 1.0
    width = SIDE + CELL_WIDTH * len(columns)
    height = TITLE * 2 + CELL_HEIGHT * len(rows)
    parts = [
        f'<text class="axis" x="{SIDE}" y="13">{escape(part["columns"])}</text>',
        f'<text class="axis" x="0" y="{TITLE + 13}">{escape(part["rows"])}</text>',
    ]
    for c, name in enumerate(columns):
        middle = SIDE + CELL_WIDTH * (c + 0.5)
        parts.append(
            f'<text x="{middle}" y="{TITLE + 13}" text-anchor="middle">{escape(name)}</text>'
        )
    for r, name in enumerate(rows):
        top = TITLE * 2 + CELL_HEIGHT * r
        parts.append(f'<text x="{SIDE - 8}" y="{top + 21}" text-anchor="end">{escape(name)}</text>')
        for c in range(len(columns)):
            value, count = part["mean_objective"][r][c], part["trials"][r][c]
            parts.append(_cell(SIDE + CELL_WIDTH * c, top, value, count, most, digits))
    label = f"Mean objective by {part['rows']} and {part['columns']}"
    return _svg(width, height, "".join(parts), label, fixed=True)


def _cell(x: float, y: float, value: float | None, count: int, most: float, digits: int) -> str:
    if value is None:
        return (
            f'<rect class="empty" x="{x + 1}" y="{y + 1}" width="{CELL_WIDTH - 2}" '
            f'height="{CELL_HEIGHT - 2}"/>'
        )
    kind = "fill-gain" if value > 0 else "fill-loss"
    depth = STRONGEST * abs(value) / most
    middle = x + CELL_WIDTH / 2
    return (
        f'<rect class="{kind}" fill-opacity="{depth:.2f}" x="{x + 1}" y="{y + 1}" '
        f'width="{CELL_WIDTH - 2}" height="{CELL_HEIGHT - 2}"/>'
        f'<text class="value" x="{middle}" y="{y + 15}" text-anchor="middle">'
        f"{number(value, digits, sign=True)}</text>"
        f'<text class="count" x="{middle}" y="{y + 28}" text-anchor="middle">n = {count}</text>'
    )


def share_bar(share: float, chance: float) -> str:
    """Draw a share of variance with a mark where chance alone would put it."""
    return (
        '<svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect x="0" y="0" width="{100 * share:.1f}" height="10"/>'
        f'<line class="mark" x1="{100 * chance:.1f}" x2="{100 * chance:.1f}" y1="0" y2="10"/></svg>'
    )


def _svg(width: float, height: float, body: str, label: str, *, fixed: bool = False) -> str:
    size = f' width="{width:g}" height="{height:g}"' if fixed else ""
    return (
        f'<svg class="drawn" role="img" aria-label="{escape(label)}" '
        f'viewBox="0 0 {width:g} {height:g}"{size}>{body}</svg>'
    )
