"""A small search that runs in seconds, and what its workers do to it."""

from contextlib import nullcontext
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from mia.data.tape import synthetic_tape
from mia.optimize.search import Wishes, search

SPACE = """
[trend]
target_r = { low = 1.2, high = 3.6, step = 0.3 }
leg_bars = { low = 5, high = 40, step = 5 }
[exit]
be_r = { low = 0.4, high = 1.6 }
[risk]
max_stop_atr = { low = 2.0, high = 6.0 }
"""
GATES = (
    "trading_mode=data_collection",
    "gate.session_min=0",
    "gate.feature_quality=0.3",
    "gate.mtf_min=0",
    "gate.regime_conf=0.3",
    "risk.max_stop_ticks=40",
)
"""Fewer rules in the way, so that a short tape has trades."""
SESSIONS = 16
TRADES = 2_000
BAR = 300
SEED = 5


def tape(sessions=SESSIONS, seed=SEED):
    return synthetic_tape(seed, 20240102, sessions, TRADES, null=True)


def at(second):
    return datetime(2025, 3, 10, 14, 0, second % 60, tzinfo=UTC)


@cache
def space_file(folder):
    path = Path(folder) / "space.toml"
    path.write_text(SPACE, encoding="utf-8")
    return path


def wishes(folder, **changed):
    given = {
        "space": space_file(folder),
        "profile": None,
        "given": GATES,
        "scheme": "anchored",
        "sampler": "random",
        "objective": "sharpe",
        "folds": 3,
        "train": 1,
        "warmup": 1,
        "embargo": 1,
        "trials": 4,
        "seed": 3,
        "prune": False,
        "bar_seconds": BAR,
        "jobs": 1,
        "cluster": None,
        "tls": None,
        "ledger": folder / "ledger.sqlite",
        "columns": folder / "columns",
    }
    return Wishes(**given | changed)


def run(folder, on_progress=lambda done, total: None, market="ES", sessions=SESSIONS, **changed):
    bar = {"columns": lambda done, total: None, "trials": on_progress}
    return search(
        wishes(folder, **changed), tape(sessions), market, lambda label: nullcontext(bar[label])
    )
