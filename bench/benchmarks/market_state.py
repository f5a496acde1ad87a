"""Market state: ratio to the least that a tick loop can do, cost of a close and of a live trade."""

import importlib.util
import sys
import sysconfig
import tempfile
import timeit
from functools import partial
from pathlib import Path

import numpy as np

from mia._fast import market_state
from mia.core.kernel_params import kernel_params
from mia.core.sessions import session_table
from mia.data.synthetic.market import SyntheticMarket

SEED = 11
SESSIONS = 2
TRADES_PER_DAY = 500_000
PARAMS = kernel_params()
SESSION_TABLE = session_table(20250307, 20250401)


def load_baseline():
    """Compile and import the yardstick with the flags of the kernels."""
    from Cython.Build import cythonize
    from setuptools import Distribution, Extension

    source = Path(__file__).resolve().parent.parent / "baseline" / "minimal.pyx"
    folder = Path(tempfile.gettempdir()) / f"mia-bench-{sysconfig.get_platform()}"
    flags = ["/O2"] if sys.platform == "win32" else ["-O3", "-ffp-contract=off"]
    extension = Extension("minimal", [str(source)], extra_compile_args=flags)
    modules = cythonize([extension], build_dir=str(folder), quiet=True)
    command = Distribution({"name": "minimal", "ext_modules": modules}).get_command_obj("build_ext")
    command.build_lib = str(folder)
    command.build_temp = str(folder)
    command.ensure_finalized()
    command.run()
    spec = importlib.util.spec_from_file_location("minimal", command.get_ext_fullpath("minimal"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def tape(sessions=SESSIONS, trades_per_day=TRADES_PER_DAY):
    blocks = list(SyntheticMarket(SEED, 20250310, sessions, trades_per_day=trades_per_day).blocks())
    names = ("ts_event", "price", "size", "aggressor_side")
    return [np.concatenate([getattr(block, name) for block in blocks]) for name in names]


def state_for(columns, **kwargs):
    state = market_state.MarketState(PARAMS, SESSION_TABLE, **kwargs)
    state.wake = 0
    return state


def run_all(columns, **kwargs):
    state = state_for(columns, **kwargs)
    stop = state.advance(*columns)
    assert stop == len(columns[0])
    return state


def best(function, repeat=5):
    return min(timeit.repeat(function, number=1, repeat=repeat))


class Advance:
    timeout = 300

    def setup_cache(self):
        return tape()

    def setup(self, columns):
        self.minimal = load_baseline()
        prices = columns[1]
        self.low, self.high = int(prices.min()), int(prices.max())

    def track_share_of_minimal_loop(self, columns):
        ours = best(lambda: run_all(columns))
        least = best(lambda: self.minimal.run(*columns, self.low, self.high))
        return least / ours

    track_share_of_minimal_loop.unit = "x"

    def track_ticks_per_second(self, columns):
        return len(columns[0]) / best(lambda: run_all(columns))

    track_ticks_per_second.unit = "ticks/s"


class Close:
    """Cost of a primary close, as the slope between minute and 10-second bars."""

    timeout = 300

    def setup_cache(self):
        return tape()

    def track_microseconds_per_close(self, columns):
        times, closes = [], []
        for primary in ("time:60", "time:10"):
            state = state_for(columns, primary=primary)
            times.append(best(partial(run_all, columns, primary=primary)))
            state.advance(*columns)
            closes.append(sum(state.reasons))
        return 1e6 * (times[1] - times[0]) / (closes[1] - closes[0])

    track_microseconds_per_close.unit = "us"


class OnTrade:
    def setup(self):
        columns = tape(1)
        self.state = state_for(columns)
        self.trades = list(zip(*[column[:100_000].tolist() for column in columns], strict=True))

    def track_nanoseconds_per_call(self):
        def run():
            state = state_for(None)
            on_trade = state.on_trade
            for trade in self.trades:
                on_trade(*trade)

        return 1e9 * best(run) / len(self.trades)

    track_nanoseconds_per_call.unit = "ns"
