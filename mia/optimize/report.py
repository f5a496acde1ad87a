"""The report of a study as plain values, and its files."""

from pathlib import Path
from typing import Any

import numpy as np

import mia
from mia.optimize import figures, ledger, sensitivity
from mia.optimize.page import render
from mia.optimize.study import Study, score
from mia.performance.results import replacing, staged, write_json


def report_of(study: Study, start_equity: float) -> dict[str, Any]:
    """Put everything that a study says into one dictionary of plain values.

    Parameters
    ----------
    start_equity : float
        USD, of the account that each block starts with.
    """
    plan, facts = study.plan, study.facts
    states = [trial.state for trial in study.trials]
    report: dict[str, Any] = {
        "study": facts.study,
        "market": facts.market,
        "first_session": facts.first_session,
        "last_session": facts.last_session,
        "sessions": len(study.ids),
        "start_equity_usd": start_equity,
        "objective": plan.objective,
        "sampler": plan.sampler,
        "seed": plan.seed,
        "scheme": plan.folds.scheme,
        "blocks": len(plan.folds.blocks),
        "warmup_sessions": plan.warmup,
        "embargo_sessions": None if plan.folds.walks else plan.embargo,
        "bar_seconds": facts.spec["width_s"],
        "space": facts.spec["space"],
        "trials": {
            "asked": len(study.trials),
            **{
                state: states.count(state)
                for state in (ledger.COMPLETE, ledger.PRUNED, ledger.REPEATED, ledger.INVALID)
            },
            "variants_in_ledger": len(study.tried),
        },
        "in_sample": figures.in_sample(study),
        "out_of_sample": figures.out_of_sample(study, start_equity),
        "overfitting": figures.overfitting_figures(study),
        **_sensitivity(study),
        "trial_rows": figures.trial_rows(study),
        "data_sha256": facts.data_hash,
        "code_sha256": facts.code_hash,
        "code_version": mia.__version__,
    }
    report["verdict"] = figures.verdict(report)
    return report


def _sensitivity(study: Study) -> dict[str, Any]:
    """Compare the trials that have a value for every parameter: not the settings as they are."""
    drawn = [trial for trial in figures.complete_trials(study) if trial.params]
    scored = [(trial, score(study.plan.objective, trial.net)) for trial in drawn]
    known = [(trial, value) for trial, value in scored if value is not None]
    trials, values = [t for t, _ in known], np.array([v for _, v in known], dtype=np.float64)
    ranked = sensitivity.importance(study.plan.space, trials, values)
    space = study.plan.space
    return {
        "importance": ranked,
        "stability": sensitivity.stability(space, trials, values, [r["name"] for r in ranked])
        if ranked
        else [],
        "neighbourhood": sensitivity.neighbourhood(space, trials, values, int(np.argmax(values)))
        if len(values)
        else None,
        "scored_trials": len(trials),
    }


def write_study(folder: Path, report: dict[str, Any]) -> None:
    """Write ``study.json``, ``trials.csv`` and ``study.html``, all or none.

    Parameters
    ----------
    folder : Path
        An existing folder.

    Raises
    ------
    DataError
        If a file cannot be written.
    """
    with staged(folder) as staging:
        write_json(staging / "study.json", report)
        _write_trials(staging / "trials.csv", report)
        page = render(report)
        with replacing(staging / "study.html") as temporary:
            temporary.write_text(page, encoding="utf-8", newline="\n")


def _write_trials(path: Path, report: dict[str, Any]) -> None:
    from mia.performance.tables_csv import write_csv

    names = list(report["space"])
    heads = ("trial", "state", *names, *COLUMNS, "note")
    rows = [
        {**row, **{name: row["params"].get(name) for name in names}} for row in report["trial_rows"]
    ]
    write_csv(path, heads, rows)


COLUMNS = (
    "sessions",
    "sharpe",
    "sharpe_standard_error",
    "trades",
    "win_rate",
    "expectancy_r",
    "net_pnl_usd",
    "costs_usd",
    "profit_factor",
    "halted_blocks",
)
