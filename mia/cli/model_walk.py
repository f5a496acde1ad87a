"""The rules alone and with the model, walked forward year by year over recorded data.

Each year is two fresh accounts over the same data: one trades by the rules, one with the model that
was in force when the year began. The trades of the first, and those that followed on paper what the
model refused, are the labels from which the model of the next year is trained; nothing of a year
decides anything in it.
"""

import tempfile
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from mia.backtest import Backtest, Inputs, known_inputs
from mia.config.settings import LoadedSettings
from mia.core.statistics import mean_interval, sharpe, wilson_interval
from mia.core.trading_types import ClosedTrade
from mia.data.tape import Selection, open_tape
from mia.ml.dataset import LabelledTrades, of_objects
from mia.ml.drift import BLOCK, MOVED, largest_move
from mia.ml.inputs import INPUTS
from mia.ml.life import Change, live_through
from mia.ml.registry import Registry
from mia.performance.recorder import RunRecord
from mia.performance.summary import session_pnl


@dataclass(frozen=True, slots=True)
class Year:
    """One year of the walk.

    Attributes
    ----------
    stage : str
        Of the model when the year began.
    labelled : int
        Trades known by then.
    rules, filtered : RunRecord
    """

    year: int
    stage: str
    labelled: int
    rules: RunRecord
    filtered: RunRecord


@dataclass(frozen=True, slots=True)
class Walk:
    """The years of a walk, what became of the model in it, and the labelled trades of all years."""

    years: list[Year]
    changes: list[Change]
    labelled: LabelledTrades


def walk(
    data: Path, symbol: str, years: range, loaded: LoadedSettings, models: Path | None = None
) -> Walk:
    """Walk forward.

    Parameters
    ----------
    data : Path
        A store.
    years : range
        In order.
    models : Path, optional
        Empty folder for the registry; one that is thrown away otherwise.

    Raises
    ------
    DataError
        If a year has no data.
    """
    with tempfile.TemporaryDirectory() as thrown_away:
        place = models or Path(thrown_away)
        registry = Registry(place)
        known: list[LabelledTrades] = []
        found, changes = [], []
        for year in years:
            stage = registry.current().stage
            selection = Selection(symbol, year * 10000 + 101, year * 10000 + 1231, front_only=True)
            with open_tape(data, selection) as tape:
                plain = known_inputs(data, None)
                rules = Backtest(loaded, tape, plain).run().record
                with_model = Inputs(plain.vix, plain.news, models=place)
                filtered = Backtest(loaded, tape, with_model).run().record
            labelled = sum(map(len, known))
            found.append(Year(year, stage, labelled, rules, filtered))
            known.append(of_objects(rules.decisions, rules.trades, rules.followed))
            ml = loaded.settings.ml
            changes += live_through(
                registry,
                _joined(known),
                ml.min_trades,
                demote_on_moved_inputs=ml.demote_on_moved_inputs,
            )
        return Walk(found, changes, _joined(known))


def _joined(parts: list[LabelledTrades]) -> LabelledTrades:
    names = LabelledTrades.__dataclass_fields__
    return LabelledTrades(*(np.concatenate([getattr(p, name) for p in parts]) for name in names))


def figures(records: list[RunRecord]) -> dict[str, Any]:
    """Return the figures of one or several years, net of costs; intervals are 95 %."""
    trades: list[ClosedTrade] = [trade for record in records for trade in record.trades]
    daily = {sid: usd for record in records for sid, usd in session_pnl(record).items()}
    r = np.array([trade.r_multiple for trade in trades])
    low, high = mean_interval(r, np.array([trade.session_id for trade in trades], dtype=np.int64))
    wins = sum(trade.net_pnl > 0.0 for trade in trades)
    ratio = sharpe(np.array(list(daily.values()), dtype=np.float64))
    return {
        "sessions": len(daily),
        "trades": len(trades),
        "wins": wins,
        "win_rate_95": list(wilson_interval(wins, len(trades))),
        "mean_r": float(r.mean()) if len(r) else None,
        "mean_r_95": [low, high] if isfinite(low) else None,
        "net_usd": float(sum(trade.net_pnl for trade in trades)),
        "costs_usd": float(sum(trade.costs for trade in trades)),
        "sharpe": [ratio.value, ratio.standard_error],
    }


def moved_blocks(labelled: LabelledTrades, trained: int = 300) -> dict[str, Any]:
    """Count the blocks of 50 trades whose inputs had moved, whatever a model said of them.

    Each is held against the 300 trades that a model would have been trained on, with the 50 that it
    then waits in the shadow between them.

    Parameters
    ----------
    labelled : LabelledTrades
    trained : int

    Returns
    -------
    dict
        ``blocks``; ``above_0.25``, blocks in which the index of some input exceeds that; ``moved``,
        those in which it exceeds chance as well; ``by_input``, the names in them.
    """
    known = labelled.take(np.argsort(labelled.ends, kind="stable"))
    names = [name for k, name in enumerate(INPUTS) if np.isfinite(known.x[:, k]).any()]
    blocks = above = 0
    by_input: dict[str, int] = {}
    for begin in range(trained + BLOCK, len(known) - BLOCK + 1, BLOCK):
        before = known.take(slice(begin - BLOCK - trained, begin - BLOCK))
        block = known.take(slice(begin, begin + BLOCK))
        found = largest_move(before.x, before.sessions, block.x, block.sessions, names)
        if found is not None:
            blocks += 1
            above += found.index > MOVED
            if found.moved:
                by_input[found.name] = by_input.get(found.name, 0) + 1
    moved = sum(by_input.values())
    return {"blocks": blocks, "above_0.25": above, "moved": moved, "by_input": by_input}


def table(done: Walk) -> dict[str, Any]:
    """Return a walk as plain values."""
    rows = [
        {
            "year": year.year,
            "stage": year.stage,
            "labelled": year.labelled,
            "rules": figures([year.rules]),
            "filtered": figures([year.filtered]),
        }
        for year in done.years
    ]
    return {
        "years": rows,
        "rules": figures([year.rules for year in done.years]),
        "filtered": figures([year.filtered for year in done.years]),
        "changes": [{"event": change.event, **change.facts} for change in done.changes],
        "moved_inputs": moved_blocks(done.labelled),
    }
