"""A search: how well two workers share the work, and what a year of trades costs one trial.

`MIA_BENCH_FULL=1` runs a hundred million trades; without it ten million stand for them.
"""

import os
import resource
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

from mia.config.settings import load_settings
from mia.data.tape import synthetic_tape
from mia.optimize import trial
from mia.optimize.columns import columns_of
from mia.optimize.search import Wishes, search
from mia.optimize.variant import pack, source_hash

SEED = 11
START = 20250310
TRADES_PER_DAY = 500_000
SESSIONS = 200 if os.environ.get("MIA_BENCH_FULL") == "1" else 20
YEAR_TICKS = 100_000_000
SPACE = "[trend]\ntarget_r = {low = 1.5, high = 3.0}\n[exit]\nbe_r = {low = 0.4, high = 1.6}\n"
SWEEP_SESSIONS, SWEEP_TRADES, SWEEP_TRIALS, SWEEP_FOLDS = 120, 20_000, 15, 3


def run_search(folder, columns, jobs):
    """Run a whole search, and return wall seconds, processor seconds of tasks, and of the rest."""
    space = folder / "space.toml"
    space.write_text(SPACE, encoding="utf-8")
    wishes = Wishes(
        space=space, profile=None, given=(), scheme="anchored", sampler="random",
        objective="sharpe", folds=SWEEP_FOLDS, train=1, warmup=2, embargo=1, trials=SWEEP_TRIALS,
        seed=1, prune=False, bar_seconds=60, jobs=jobs, cluster=None, tls=None,
        ledger=folder / f"ledger-{jobs}.sqlite", columns=columns,
    )  # fmt: skip
    tape = synthetic_tape(SEED, START, SWEEP_SESSIONS, SWEEP_TRADES, null=True)
    before = time.process_time()
    children = sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
    began = time.perf_counter()
    found = search(wishes, tape, "bench", lambda label: nullcontext(lambda done, total: None))
    wall = time.perf_counter() - began
    spent = time.process_time() - before
    spent += sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2]) - children
    return wall, found.seconds, spent


class Scaling:
    """The same search with one worker and with two; the columns are there already."""

    timeout = 3600
    number = 1

    def setup_cache(self):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            columns = folder / "columns"
            tape = synthetic_tape(SEED, START, SWEEP_SESSIONS, SWEEP_TRADES, null=True)
            columns_of(tape, columns, 60)
            return [run_search(folder, columns, jobs) for jobs in (1, 2)]

    def track_efficiency_of_two_workers(self, cache):
        """Wall time of one worker over twice that of two: says something on an idle machine."""
        (one, _, _), (two, _, _) = cache
        return one / (2.0 * two)

    track_efficiency_of_two_workers.unit = "x"

    def track_processor_time_in_tasks(self, cache):
        """Of all the processor time of a search with two workers, the share that tasks use."""
        _, tasks, spent = cache[1]
        return tasks / spent

    track_processor_time_in_tasks.unit = "x"

    def track_processor_time_of_tasks_beside_each_other(self, cache):
        """Processor time of the tasks with one worker over that with two: caches shared or not."""
        return cache[0][1] / cache[1][1]

    track_processor_time_of_tasks_beside_each_other.unit = "x"

    def track_trials_per_second(self, cache):
        return (SWEEP_TRIALS + 1) / cache[1][0]

    track_trials_per_second.unit = "trials/s"


class Year:
    """One parameter set over mapped trades, on one core."""

    timeout = 7200

    def setup_cache(self):
        folder = Path("year").resolve()
        columns_of(synthetic_tape(SEED, START, SESSIONS, TRADES_PER_DAY), folder)
        return str(folder)

    def track_seconds_of_a_hundred_million_trades(self, folder):
        tape = synthetic_tape(SEED, START, SESSIONS, TRADES_PER_DAY)
        columns = columns_of(tape, Path(folder))
        place = trial.Place.of(columns)
        settings = pack(load_settings(environ={}))
        task = trial.Task("k", place, 0, 0, len(columns.ids), settings, source_hash())
        ticks = sum(session.rows for session in columns.sessions)
        best = float("inf")
        # The first pass reads the files; it is not counted.
        for _ in range(3):
            started = time.process_time()
            trial.run_block(columns, task)
            best = min(best, time.process_time() - started)
        return best * YEAR_TICKS / ticks

    track_seconds_of_a_hundred_million_trades.unit = "s"
