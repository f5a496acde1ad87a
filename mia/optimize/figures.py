"""What a study says: the choice in sample, what it earned outside, and how much of it is choice."""

from collections.abc import Sequence
from math import isnan
from typing import Any

import numpy as np

from mia.core import overfitting, statistics
from mia.core.overfitting import Trials
from mia.core.statistics import Floats
from mia.optimize import ledger as states
from mia.optimize.folds import Places
from mia.optimize.study import Study, Trial, score
from mia.optimize.trial import Trade
from mia.performance.figures import bounds, finite
from mia.performance.session_analysis import (
    closing_equity,
    cone_figures,
    daily_figures,
    under_water,
)
from mia.performance.wording import FEW_TRADES, number

CONFIDENT = 0.95


def complete_trials(study: Study) -> list[Trial]:
    """Return the trials that ran in every session."""
    return [trial for trial in study.trials if trial.state == states.COMPLETE]


def best_in(trials: Sequence[Trial], places: Places, objective: str) -> Trial | None:
    """Return the trial with the highest objective in some sessions, the earliest of equals.

    Returns
    -------
    Trial or None
        None if the objective is undefined for all.
    """
    best: tuple[float, Trial] | None = None
    for trial in trials:
        value = score(objective, trial.net[places])
        if value is not None and (best is None or value > best[0]):
            best = value, trial
    return None if best is None else best[1]


def ratio_figures(net: Floats) -> dict[str, Any]:
    """Return the Sharpe ratio of sessions with its error and what it proves."""
    ratio = statistics.sharpe(net)
    track = overfitting.minimum_track_record(ratio, len(net))
    return {
        "sessions": len(net),
        "sharpe": finite(ratio.value),
        "sharpe_standard_error": finite(ratio.standard_error),
        "probabilistic_sharpe": finite(statistics.probabilistic_sharpe(ratio)),
        "minimum_track_record_sessions": finite(track),
    }


def trade_figures(trades: Sequence[Trade]) -> dict[str, Any]:
    """Count trades, with intervals where there are any, and what they cost."""
    n = len(trades)
    net = np.array([trade.net for trade in trades], dtype=np.float64)
    r = np.array([trade.r for trade in trades], dtype=np.float64)
    known = np.isfinite(r)
    groups = np.array([trade.session for trade in trades], dtype=np.int64)
    wins = int(np.sum(net > 0.0))
    interval = statistics.mean_interval(r[known], groups[known])
    return {
        "trades": n,
        "wins": wins,
        "win_rate": wins / n if n else None,
        "win_rate_wilson_95": bounds(statistics.wilson_interval(wins, n)),
        "expectancy_r": finite(np.mean(r[known])) if known.any() else None,
        "expectancy_r_95": bounds(interval),
        "net_pnl_usd": float(np.sum(net)),
        "gross_pnl_usd": float(sum(trade.gross for trade in trades)),
        "costs_usd": float(sum(trade.costs for trade in trades)),
        "slippage_ticks_mean": finite(np.mean([t.slippage for t in trades])) if n else None,
        "profit_factor": finite(statistics.profit_factor(net)) if n else None,
        "long_trades": sum(trade.side > 0 for trade in trades),
    }


def _of(trial: Trial, ids: Sequence[int], places: Places) -> list[Trade]:
    chosen = {ids[place] for place in places.tolist()}
    return [trade for trade in trial.trades if trade.session in chosen]


def trial_figures(study: Study, trial: Trial, places: Places | None = None) -> dict[str, Any]:
    """Return the figures of a trial in some sessions, all by default."""
    at = np.arange(len(study.ids)) if places is None else places
    net = trial.net[at]
    return {
        "trial": trial.number,
        "params": trial.params,
        **ratio_figures(net),
        **trade_figures(_of(trial, study.ids, at)),
    }


def in_sample(study: Study) -> dict[str, Any]:
    """Return the best trial over all sessions, deflated for every variant ever tried."""
    complete = complete_trials(study)
    everything = np.arange(len(study.ids))
    best = best_in(complete, everything, study.plan.objective) or complete[0]
    tried = Trials.of(study.tried)
    ratio = statistics.sharpe(best.net)
    return {
        **trial_figures(study, best),
        "halted_blocks": best.halted,
        "blocks": len(study.plan.folds.blocks),
        "variants_tried": tried.count,
        "sharpe_deviation_of_variants": tried.deviation,
        "best_sharpe_by_chance": finite(overfitting.expected_best_sharpe(tried)),
        "deflated_sharpe": finite(overfitting.deflated_sharpe(ratio, tried)),
    }


def _chosen(study: Study) -> list[Trial | None]:
    complete = complete_trials(study)
    return [
        best_in(complete, split.train, study.plan.objective) for split in study.plan.folds.splits
    ]


def _path(
    study: Study, chosen: Sequence[Trial | None], path: Sequence[tuple[int, int]]
) -> tuple[Floats, Places, list[Trade]]:
    nets, at, trades = [], [], []
    for split, block in path:
        place = study.plan.folds.blocks[block]
        places = np.arange(place.first, place.stop, dtype=np.int64)
        trial = chosen[split]
        # Where nothing could be chosen nothing is traded.
        nets.append(np.zeros(len(places)) if trial is None else trial.net[places])
        trades += [] if trial is None else _of(trial, study.ids, places)
        at.append(places)
    return np.concatenate(nets), np.concatenate(at), trades


def out_of_sample(study: Study, start_equity: float) -> dict[str, Any]:
    """Stitch what the choices earned where they were not made.

    Parameters
    ----------
    start_equity : float
        USD.
    """
    folds = study.plan.folds
    chosen = _chosen(study)
    net, at, trades = _path(study, chosen, folds.paths[0])
    ids = [study.ids[place] for place in at.tolist()]
    equity = closing_equity(net, start_equity)
    paths = [statistics.sharpe(_path(study, chosen, path)[0]).value for path in folds.paths]
    base = study.trials[0]
    return {
        **ratio_figures(net),
        **trade_figures(trades),
        "sharpe_95": daily_figures(net)["sharpe_95"],
        "first_session": ids[0],
        "last_session": ids[-1],
        "under_water": under_water(equity, ids),
        "cone": cone_figures(net),
        "curve": {"session": ids, "net_usd": net.tolist()},
        "paths": [finite(value) for value in paths],
        "splits": [
            _split(study, trial, split.train, split.test)
            for trial, split in zip(chosen, folds.splits, strict=True)
        ],
        "settings_as_they_are": trial_figures(study, base, at)
        if base.state == states.COMPLETE
        else None,
    }


def _split(study: Study, trial: Trial | None, train: Places, test: Places) -> dict[str, Any]:
    ids = study.ids
    spans = {
        "train_first": ids[int(train[0])],
        "train_last": ids[int(train[-1])],
        "train_sessions": len(train),
        "test_first": ids[int(test[0])],
        "test_last": ids[int(test[-1])],
        "test_sessions": len(test),
    }
    if trial is None:
        return {**spans, "trial": None}
    inside, outside = trial_figures(study, trial, train), trial_figures(study, trial, test)
    return {**spans, "trial": trial.number, "params": trial.params, "in": inside, "out": outside}


def overfitting_figures(study: Study) -> dict[str, Any] | None:
    """Return the probability of overfitting among the complete trials, None below two."""
    complete = complete_trials(study)
    outcome = overfitting.probability_of_overfitting(
        np.column_stack([trial.net for trial in complete])
    )
    if outcome is None:
        return None
    return {
        "probability": outcome.probability,
        "loss": outcome.loss,
        "slope": finite(outcome.slope),
        "variants": outcome.variants,
        "sessions": outcome.sessions,
        "blocks": outcome.blocks,
        "splits": outcome.splits,
    }


def trial_rows(study: Study) -> list[dict[str, Any]]:
    """Return one row per trial for the table, those that did not run included."""
    rows = []
    for trial in study.trials:
        row: dict[str, Any] = {
            "trial": trial.number,
            "state": trial.state,
            "note": trial.note,
            "params": trial.params,
        }
        if len(trial.net):
            ran = trial.net[np.isfinite(trial.net)]
            row |= {**ratio_figures(ran), **trade_figures(trial.trades)}
            row |= {"halted_blocks": trial.halted, "bars": trial.bars}
        rows.append(row)
    return rows


def verdict(report: dict[str, Any]) -> str:
    """Say in one sentence what the study shows, and no more."""
    best, outside = report["in_sample"], report["out_of_sample"]
    tried = best["variants_tried"]
    deflated, psr = best["deflated_sharpe"], outside["probabilistic_sharpe"]
    over = report["overfitting"]
    if best["sharpe"] is None or not best["trades"]:
        return f"None of {tried} variants traded enough to be judged: nothing is shown."
    what = (
        f"The best of {tried} variants shows a Sharpe ratio of {number(best['sharpe'], 2)} in the "
        "sample it was chosen in"
    )
    reasons = []
    if best["trades"] < FEW_TRADES:
        reasons.append(f"it rests on {best['trades']} trades")
    if deflated is None or deflated < CONFIDENT:
        reasons.append(f"its deflated Sharpe ratio is {_share(deflated)}, below 0.95")
    if psr is None or psr < CONFIDENT:
        value = outside["sharpe"]
        shown = "undefined" if value is None or isnan(value) else number(value, 2)
        reasons.append(
            f"outside, the choices made a Sharpe ratio of {shown} with a probability of "
            f"{_share(psr)} to be above zero"
        )
    if over is not None and over["probability"] > 1.0 - CONFIDENT:
        reasons.append(f"the probability of overfitting is {over['probability']:.2f}")
    if reasons:
        return f"No edge is shown: {what[0].lower()}{what[1:]}, but {'; '.join(reasons)}."
    return (
        f"{what}, its deflated Sharpe ratio is {_share(deflated)}, and outside the choices kept "
        f"{outside['sharpe']:.2f} over {outside['sessions']} sessions: this holds against the "
        "number of trials, on these data and under these costs."
    )


def _share(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.2f}"
