"""Whole backtests: ticks a second, memory beyond the tape, and whether the cost stays flat.

`MIA_BENCH_FULL=1` streams a hundred million trades; without it ten million stand for them.
"""

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from mia.backtest import Backtest
from mia.config.settings import load_settings
from mia.core.base_types import TradeBlock
from mia.data.raw import ImportSource, SourceFormat
from mia.data.store import Store
from mia.data.synthetic.export import raw_trades
from mia.data.synthetic.faults import raw_columns
from mia.data.synthetic.market import SyntheticMarket
from mia.data.tape import Selection, open_tape, synthetic_tape
from mia.performance.recorder import RunRecord

SEED = 11
START = 20250310
TRADES_PER_DAY = 500_000
IN_MEMORY_SESSIONS = 10
SHORT_SESSIONS = 2
LONG_SESSIONS = 200 if os.environ.get("MIA_BENCH_FULL") == "1" else 20
COLUMNS = ("ts_event", "price", "size", "aggressor_side", "bid_price", "ask_price")
MEGABYTE = 1024.0


def peak_kilobytes():
    """Return the most memory that this process has held."""
    status = Path("/proc/self/status")
    if status.exists():
        # Linux hands the peak of getrusage on from the parent; this one starts with the process.
        line = next(x for x in status.read_text().splitlines() if x.startswith("VmHWM:"))
        return int(line.split()[1])
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // 1024 if sys.platform == "darwin" else peak


def save_columns(folder):
    """Write ten sessions as one file a column; return the lengths of the blocks."""
    blocks = list(synthetic_tape(SEED, START, IN_MEMORY_SESSIONS, TRADES_PER_DAY).blocks())
    for name in COLUMNS:
        np.save(folder / f"{name}.npy", np.concatenate([getattr(b, name) for b in blocks]))
    return [(block.contract, len(block)) for block in blocks]


def loaded_tape(folder, parts):
    """Return a tape over columns that are in memory as a whole."""
    whole = {name: np.load(folder / f"{name}.npy") for name in COLUMNS}

    def blocks():
        start = 0
        for contract, length in parts:
            stop = start + length
            yield TradeBlock(contract, **{name: whole[name][start:stop] for name in COLUMNS})
            start = stop

    source = synthetic_tape(SEED, START, IN_MEMORY_SESSIONS, TRADES_PER_DAY)
    return replace(source, blocks=blocks)


def run(tape):
    """Run a backtest and return its ticks, its seconds, and the growth of peak memory in MB."""
    test = Backtest(load_settings(environ={}), tape)
    before = peak_kilobytes()
    summary = test.run().summary
    grown = (peak_kilobytes() - before) / MEGABYTE
    return summary["ticks"], summary["ticks"] / summary["ticks_per_second"], grown


def in_fresh_process(function, *arguments):
    """Call a function of this module where nothing else has used memory; it returns JSON."""
    code = (
        "import json, sys; from benchmarks import backtest; "
        f"print(json.dumps(backtest.{function}(*json.loads(sys.argv[1]))))"
    )
    environ = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parent.parent)}
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(arguments)],
        env=environ,
        cwd=Path(__file__).resolve().parent.parent.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def measure_in_memory(folder, parts):
    return run(loaded_tape(Path(folder), parts))


def write_store(folder):
    """Write days of equal activity: a tick then is as much work in a short run as in a long one."""
    store = Store.create(folder)
    market = SyntheticMarket(SEED, START, LONG_SESSIONS, trades_per_day=TRADES_PER_DAY, steady=True)
    for k, block in enumerate(market.blocks()):
        source = ImportSource(f"day {k}", f"{k:064x}", SourceFormat.SYNTHETIC)
        store.write_trades(raw_trades(raw_columns(block), seq_unique=False), source)


def measure_store(folder, days):
    """Return ticks and the seconds that the cycle itself computed, loading left out."""
    ticks, seconds = 0, 0.0
    with open_tape(Path(folder), Selection(days=days)) as tape:
        trader = Backtest(load_settings(environ={}), tape).make_trader(RunRecord())
        for block in tape.blocks():
            started = time.thread_time()
            trader.run(block)
            seconds += time.thread_time() - started
            ticks += len(block)
    return ticks, seconds


def measure_second_half(folder, days):
    """Return how much the later half of a long run adds to peak memory, MB."""
    peaks = []
    with open_tape(Path(folder), Selection(days=days)) as tape:

        def blocks():
            for k, block in enumerate(tape.blocks()):
                if k == days // 2:
                    peaks.append(peak_kilobytes())
                yield block

        run(replace(tape, blocks=blocks))
    return (peak_kilobytes() - peaks[0]) / MEGABYTE


class InMemory:
    """Ten sessions of half a million trades whose columns are in memory already."""

    timeout = 900

    def setup_cache(self):
        folder = Path("in-memory").resolve()
        folder.mkdir(exist_ok=True)
        return str(folder), save_columns(folder)

    def track_ticks_per_second(self, cache):
        runs = [in_fresh_process("measure_in_memory", *cache) for _ in range(3)]
        return max(ticks / seconds for ticks, seconds, _ in runs)

    track_ticks_per_second.unit = "ticks/s"

    def track_megabytes_beyond_the_columns(self, cache):
        return in_fresh_process("measure_in_memory", *cache)[2]

    track_megabytes_beyond_the_columns.unit = "MB"


class Streamed:
    """A long run from a store: a tick costs what it costs in two sessions, memory stays."""

    timeout = 7200

    def setup_cache(self):
        folder = Path("store").resolve()
        write_store(folder)
        return str(folder)

    def track_cost_per_tick_of_the_long_run(self, store):
        costs = {SHORT_SESSIONS: [], LONG_SESSIONS: []}
        for _ in range(3):
            for days, found in costs.items():
                ticks, seconds = in_fresh_process("measure_store", store, days)
                found.append(seconds / ticks)
        return min(costs[LONG_SESSIONS]) / min(costs[SHORT_SESSIONS])

    track_cost_per_tick_of_the_long_run.unit = "x"

    def track_megabytes_that_the_second_half_adds(self, store):
        return in_fresh_process("measure_second_half", store, LONG_SESSIONS)

    track_megabytes_that_the_second_half_adds.unit = "MB"
