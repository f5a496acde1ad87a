"""What is known of models on the labelled trades: figures, and one self-contained page."""

from dataclasses import asdict
from html import escape
from importlib import resources
from math import isfinite
from string import Template
from typing import Any

import numpy as np

from mia.core.resampling import session_interval
from mia.ml.dataset import LabelledTrades
from mia.ml.drift import BLOCK, largest_move, moved_inputs
from mia.ml.flat_model import BOOSTED, LOGISTIC
from mia.ml.promotion import RESAMPLES, SEED
from mia.ml.registry import Registry
from mia.ml.scores import area_under_curve, brier, calibration_error, reliability
from mia.ml.training import (
    BOOSTED_FROM,
    FOLDS,
    OutOfFold,
    combinatorial_paths,
    out_of_fold,
    overfitting_of_settings,
    validation_gap,
)

LEAST = 50
"""Labelled trades below which nothing is validated."""


def _finite(value: float) -> float | None:
    return float(value) if isfinite(value) else None


def _expectancy(r: Any, chosen: Any, sessions: Any) -> dict[str, Any]:
    """Return the mean net R of chosen trades with its 95 % interval over whole sessions."""
    ids, places = np.unique(sessions, return_inverse=True)
    sums = np.zeros((len(ids), 2))
    np.add.at(sums, places, np.column_stack((r * chosen, chosen)))
    low, high = session_interval(
        sums,
        lambda s: s[..., 0].sum(axis=1) / s[..., 1].sum(axis=1),
        resamples=RESAMPLES,
        seed=SEED,
    )
    n = int(chosen.sum())
    mean = float(r[chosen].mean()) if n else None
    return {"trades": n, "mean_r": mean, "low": _finite(low), "high": _finite(high)}


def _family(family: str, data: LabelledTrades, found: OutOfFold) -> dict[str, Any]:
    y = data.y
    taken = found.p - data.tau >= -1e-9
    counts: dict[str, int] = {}
    for names in found.chosen:
        for name in names:
            counts[name] = counts.get(name, 0) + 1
    return {
        "promotion": found.against_base(data).to_dict(),
        "brier": brier(found.p, y),
        "brier_base": brier(found.base, y),
        "calibration_error": calibration_error(found.p, y),
        "area_under_curve": _finite(area_under_curve(found.p, y)),
        "reliability": [list(b) for b in reliability(found.p, y)],
        "taken": _expectancy(data.r, taken, data.sessions),
        "chosen_in_folds": dict(sorted(counts.items(), key=lambda item: -item[1])),
        "validation": validation_gap(data, family),
    }


def model_report(data: LabelledTrades, registry: Registry) -> dict[str, Any]:
    """Return everything that the report says, as plain values.

    Parameters
    ----------
    data : LabelledTrades
    registry : Registry
        Whose models in use are named; nothing is changed.
    """
    current = registry.current()
    found: dict[str, Any] = {
        "trades": len(data),
        "followed_on_paper": int(data.paper.sum()),
        "wins": int(data.y.sum()),
        "sessions": len(np.unique(data.sessions)),
        "first_session": int(data.sessions.min()) if len(data) else None,
        "last_session": int(data.sessions.max()) if len(data) else None,
        "folds": FOLDS,
        "stage": current.stage,
        "gate": current.gate,
        "shadow": current.shadow,
        "history": registry.history()[-50:],
        "families": {},
        "always": None,
        "combinatorial_paths": [],
        "probability_of_overfitting": None,
        "moved_inputs": {},
        "largest_move": None,
    }
    if len(data) < LEAST:
        return found
    everything = np.ones(len(data), dtype=bool)
    found["always"] = _expectancy(data.r, everything, data.sessions)
    families = (LOGISTIC, BOOSTED) if len(data) >= BOOSTED_FROM else (LOGISTIC,)
    for family in families:
        found["families"][family] = _family(family, data, out_of_fold(family, data))
    found["combinatorial_paths"] = combinatorial_paths(data)
    found["probability_of_overfitting"] = overfitting_of_settings(data)
    name = current.gate or current.shadow
    if name:
        facts = registry.load(name).manifest
        before = data.ends <= facts["last_exit"]
        trained, later = data.take(before), data.take(~before)
        names = facts["inputs_read"]
        found["moved_inputs"] = moved_inputs(trained.x, later.x, names)
        if found["moved_inputs"]:
            last = later.take(slice(len(later) - BLOCK, None))
            move = largest_move(trained.x, trained.sessions, last.x, last.sessions, names)
            if move is not None:
                found["largest_move"] = asdict(move) | {"trades": BLOCK, "moved": move.moved}
    return found


def _number(value: float | None, form: str = "+.3f") -> str:
    return "undefined" if value is None else format(value, form)


def _interval(found: dict[str, Any]) -> str:
    if found["mean_r"] is None:
        return "none taken"
    low, high = _number(found["low"]), _number(found["high"])
    return f"{found['mean_r']:+.3f} R ({low} to {high}), {found['trades']} trades"


def _rows(rows: list[tuple[str, str]]) -> str:
    return "".join(f"<tr><th>{escape(a)}</th><td>{escape(b)}</td></tr>" for a, b in rows)


def _curve(points: list[list[float]]) -> str:
    """Draw observed against predicted shares; the diagonal is perfect."""
    size, room = 320, 36

    def x(value: float) -> float:
        return room + value * (size - room - 8)

    def y(value: float) -> float:
        return size - room - value * (size - room - 8)

    marks = "".join(
        f'<circle cx="{x(p):.1f}" cy="{y(o):.1f}" r="4"><title>predicted {p:.2f}, observed {o:.2f},'
        f" {int(n)} trades</title></circle>"
        for p, o, n in points
    )
    line = " ".join(f"{x(p):.1f},{y(o):.1f}" for p, o, _ in points)
    ticks = "".join(
        f'<text x="{x(v):.0f}" y="{size - 16}" text-anchor="middle">{v:.1f}</text>'
        f'<text x="{room - 6}" y="{y(v) + 4:.0f}" text-anchor="end">{v:.1f}</text>'
        for v in (0.0, 0.5, 1.0)
    )
    return (
        f'<svg class="curve" viewBox="0 0 {size} {size}" role="img" aria-label="Reliability curve">'
        f'<rect x="{x(0):.1f}" y="{y(1):.1f}" width="{x(1) - x(0):.1f}" '
        f'height="{y(0) - y(1):.1f}" class="frame"/>'
        f'<line x1="{x(0):.1f}" y1="{y(0):.1f}" x2="{x(1):.1f}" y2="{y(1):.1f}" class="even"/>'
        f'<polyline points="{line}"/>{marks}{ticks}'
        f'<text x="{x(0.5):.0f}" y="{size - 2}" text-anchor="middle">predicted share of wins</text>'
        f'<text x="12" y="{y(0.5):.0f}" text-anchor="middle" '
        f'transform="rotate(-90 12 {y(0.5):.0f})">observed</text>'
        "</svg>"
    )


def _bars(counts: dict[str, int], most: int) -> str:
    rows = "".join(
        f'<tr><th>{escape(name)}</th><td><span class="bar" style="width:{100 * n / most:.0f}%">'
        f"</span></td><td>{n} of {most}</td></tr>"
        for name, n in counts.items()
    )
    return f'<table class="bars">{rows}</table>'


def _section(family: str, found: dict[str, Any]) -> str:
    test, gap = found["promotion"], found["validation"]
    verdict = "passed" if test["passed"] else "not passed"
    rows = _rows(
        [
            ("Promotion test", verdict),
            (
                "Log-loss below the base rate's",
                f"{_number(test['loss_gain'], '+.4f')} nats, 5 % quantile "
                f"{_number(test['loss_gain_low'], '+.4f')}",
            ),
            (
                "Net R of taken above all trades",
                f"{_number(test['r_gain'])} R, 5 % quantile {_number(test['r_gain_low'])}",
            ),
            ("Taken", f"{test['taken']} of {test['trades']} (at least 30 and 20 %)"),
            ("Expectancy of taken trades, 95 %", _interval(found["taken"])),
            ("Brier score", f"{found['brier']:.4f} (base rate {found['brier_base']:.4f})"),
            ("Expected calibration error", f"{found['calibration_error']:.4f}"),
            ("Area under the curve", _number(found["area_under_curve"], ".3f")),
            (
                "Log-loss gain, shuffled folds less purged ones",
                f"{gap['plain']:+.4f} less {gap['purged']:+.4f} = {gap['gap']:+.4f} nats",
            ),
        ]
    )
    return (
        f"<section><h2>{escape(family.capitalize())} model, out of fold</h2>"
        f'<div class="pair"><table>{rows}</table>{_curve(found["reliability"])}</div>'
        f"<h3>Inputs by the folds that read them</h3>{_bars(found['chosen_in_folds'], FOLDS)}"
        "</section>"
    )


def _move(move: dict[str, Any] | None) -> str:
    if move is None:
        return ""
    verdict = "it has moved" if move["moved"] else "nothing has moved beyond chance"
    return (
        f"Of the last {move['trades']} the largest is {move['name']} with {move['index']:.2f}; a "
        f"model is demoted above {move['limit']:.2f}: {verdict}."
    )


def page(found: dict[str, Any]) -> str:
    """Return the report as one page that loads nothing from elsewhere."""
    paths = found["combinatorial_paths"]
    head = [
        ("Labelled trades", f"{found['trades']}, {found['wins']} won"),
        ("Refused by a model and followed on paper", str(found["followed_on_paper"])),
        (
            "Sessions with labelled trades",
            f"{found['sessions']} ({found['first_session']} to {found['last_session']})",
        ),
        ("Stage", found["stage"]),
        ("Model that decides", found["gate"][:12] or "none"),
        ("Model that is watched", found["shadow"][:12] or "none"),
    ]
    if found["always"] is not None:
        head.append(("Expectancy of all trades, 95 %", _interval(found["always"])))
    if paths:
        gains = ", ".join(f"{p['r_gain']:+.3f}" for p in paths)
        head.append(("Combinatorial paths: net R of taken above all", gains))
    if found["probability_of_overfitting"] is not None:
        head.append(
            (
                "Probability that a choice of inputs and penalty overfits",
                f"{found['probability_of_overfitting']:.2f}",
            )
        )
    moved = [(name, f"{value:.2f}") for name, value in found["moved_inputs"].items()]
    body = "".join(_section(name, facts) for name, facts in found["families"].items())
    if not body:
        body = f"<p>Nothing is validated below {LEAST} labelled trades.</p>"
    if moved:
        body += (
            "<section><h2>Inputs since training</h2><p>Population stability index over all later "
            f"trades. {escape(_move(found['largest_move']))}</p><table>{_rows(moved)}</table>"
            "</section>"
        )
    history = [
        (f"{change['event']} {change.get('model', '')[:12]}", str(change.get("reason", "")))
        for change in reversed(found["history"])
    ]
    if history:
        body += f"<section><h2>Changes, newest first</h2><table>{_rows(history)}</table></section>"
    template = resources.files("mia.ml").joinpath("report.html").read_text(encoding="utf-8")
    return Template(template).substitute(head=_rows(head), body=body)
