"""Does a search fool its owner? Searches on synthetic markets in which there is nothing to find.

On the null market the efficient price is a martingale: whatever a search finds there is chance. A
search that can be trusted still shows a flattering best, and does not believe it.
"""

import json
import shutil
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mia.core.statistics import wilson_interval
from mia.data.tape import synthetic_tape
from mia.optimize.search import Wishes, search

SPACE = Path(__file__).with_name("null_market.toml")
GATES = (
    "trading_mode=data_collection",
    "gate.session_min=0",
    "gate.feature_quality=0.3",
    "gate.mtf_min=0",
    "gate.regime_cooldown_s=0",
    "gate.loss_cooldown_s=0",
    "risk.max_stop_ticks=40",
)
"""Fewer rules in the way, so that there are trades to choose among."""
FREE = ("cost.es_side=0", "cost.mes_side=0", "cost.slip_ticks=0")
START = 20240102
CONFIDENT = 0.95


@dataclass(frozen=True, slots=True)
class Setup:
    """How large each search is.

    Attributes
    ----------
    sessions, trials, folds : int
    bar_seconds, trades_per_day : int
    costs : bool
        Whether costs are charged; without them chance is flattered most.
    jobs : int
    """

    sessions: int = 80
    trials: int = 15
    folds: int = 3
    bar_seconds: int = 300
    trades_per_day: int = 5_000
    costs: bool = True
    jobs: int = 1


def search_null(seed: int, setup: Setup, folder: Path) -> dict[str, Any]:
    """Search one null market.

    Parameters
    ----------
    seed : int
        Of the market; the sampler's is the same.
    folder : Path
        For the ledger, which stays, and the columns, which go again.

    Returns
    -------
    dict
        Best Sharpe ratio in sample, its deflation, what the choices earned outside, PBO, counts.
    """
    columns = folder / f"columns-{seed}"
    wishes = Wishes(
        space=SPACE,
        profile=None,
        given=[*GATES, *(() if setup.costs else FREE)],
        scheme="anchored",
        sampler="random",
        objective="sharpe",
        folds=setup.folds,
        train=1,
        warmup=2,
        embargo=1,
        trials=setup.trials,
        seed=seed,
        prune=False,
        bar_seconds=setup.bar_seconds,
        jobs=setup.jobs,
        cluster=None,
        tls=None,
        ledger=folder / "ledger.sqlite",
        columns=columns,
    )
    tape = synthetic_tape(seed, START, setup.sessions, setup.trades_per_day, null=True)
    found = search(wishes, tape, tape.name, lambda label: nullcontext(lambda done, total: None))
    shutil.rmtree(columns, ignore_errors=True)
    best, outside = found.report["in_sample"], found.report["out_of_sample"]
    over = found.report["overfitting"]
    return {
        "seed": seed,
        "variants": best["variants_tried"],
        "best_sharpe": best["sharpe"],
        "best_trades": best["trades"],
        "probabilistic_sharpe": best["probabilistic_sharpe"],
        "best_by_chance": best["best_sharpe_by_chance"],
        "deflated_sharpe": best["deflated_sharpe"],
        "outside_sharpe": outside["sharpe"],
        "outside_probability": outside["probabilistic_sharpe"],
        "outside_trades": outside["trades"],
        "overfitting": None if over is None else over["probability"],
        "shown": not found.report["verdict"].startswith(("No edge", "None of")),
        "seconds": found.seconds,
    }


def summarise(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Count how often the search believed what it found; shares with Wilson intervals.

    A market in which no variant traded enough for a ratio does not count, and is told.
    """
    known = [row for row in rows if row["deflated_sharpe"] is not None]
    best = np.array([row["best_sharpe"] for row in known], dtype=np.float64)
    outside = [row["outside_sharpe"] for row in known if row["outside_sharpe"] is not None]

    def share(count: int) -> dict[str, Any]:
        return {
            "count": count,
            "share": count / len(known) if known else None,
            "wilson_95": list(wilson_interval(count, len(known))),
        }

    return {
        "markets": len(rows),
        "judged": len(known),
        "variants_each": max((row["variants"] for row in known), default=0),
        "trades_of_the_best_median": float(np.median([row["best_trades"] for row in known]))
        if known
        else None,
        "best_sharpe_mean": float(best.mean()) if known else None,
        "best_sharpe_quartiles": np.quantile(best, [0.25, 0.5, 0.75]).tolist() if known else None,
        "best_sharpe_above_zero": share(int(np.sum(best > 0.0))),
        "best_sharpe_above_one": share(int(np.sum(best > 1.0))),
        "undeflated_above_0.95": share(
            sum((row["probabilistic_sharpe"] or 0.0) >= CONFIDENT for row in known)
        ),
        "deflated_below_0.95": share(sum(row["deflated_sharpe"] < CONFIDENT for row in known)),
        "outside_above_0.95": share(
            sum((row["outside_probability"] or 0.0) >= CONFIDENT for row in known)
        ),
        "outside_sharpe_mean": float(np.mean(outside)) if outside else None,
        "edge_said_to_be_shown": share(sum(row["shown"] for row in known)),
        "seconds": float(sum(row["seconds"] for row in rows)),
    }


def run(seeds: Sequence[int], setup: Setup, folder: Path) -> dict[str, Any]:
    """Search many null markets, one line of ``null_market.ndjson`` each; go on where one stopped.

    Returns
    -------
    dict
        As of `summarise`, of all lines that there are.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "null_market.ndjson"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    rows = [json.loads(line) for line in lines]
    done = {row["seed"] for row in rows}
    for seed in seeds:
        if seed in done:
            continue
        row = search_null(seed, setup, folder)
        rows.append(row)
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        print(f"seed {seed}: best {row['best_sharpe']}, deflated {row['deflated_sharpe']}",
              file=sys.stderr, flush=True)  # fmt: skip
    return summarise(rows)
