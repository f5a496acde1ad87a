"""A trader that is killed, at every named place and at any instant, and started again."""

import random
import signal
import time
from pathlib import Path

import pytest

from faults.harness import (
    Gateway,
    N,
    Naked,
    Trader,
    Watch,
    check_orders,
    gateway,
    percentile,
    record,
    settle,
    some,
    trader,
)
from mia.core.crash_points import CRASH_POINTS
from mia.data import state_files
from mia.data.state_files import KillCommand

pytestmark = pytest.mark.slow

NAKED_S = 5.0

# What the strategy must do for a place to be reached.
BUSY = {"cold": True, "trail": True, "close_s": 60, "distance": 12, "pause_s": 5}
RESTING = {"cold": True, "kind": "LIMIT", "away": 20, "close_s": 10, "pause_s": 5}
SPECIAL = ("before_protect", "after_protect_sent", "before_command_done")
SWEPT = [point for point in CRASH_POINTS if point not in SPECIAL]
SAMPLE = some(SWEPT, 5)


def restarted(gw: Gateway, folder: Path, starts: list[float]) -> None:
    """Start a trader that nothing happens to, and hold everything against the exchange."""
    with trader(gw, folder, **BUSY) as run:
        starts.append(run.ready())
        time.sleep(1.0)
        settle(gw, run, folder / "state")


def died(run: Trader) -> None:
    run.wait(lambda: run.process.poll() is not None, "it dies", 40, alive=False)
    assert run.process.returncode == -signal.SIGKILL, run.told()


def check_naked(naked: Naked) -> None:
    assert naked.looks > 100
    assert naked.longest < NAKED_S, naked


def test_a_kill_at_any_named_place_loses_doubles_and_bares_nothing(tmp_path: Path) -> None:
    starts: list[float] = []
    with gateway(tmp_path) as gw, Watch(gw) as watch:
        for point in SAMPLE:
            wish = RESTING if "cancel" in point else BUSY
            passes = "" if "reconcile" in point else f":{1 + CRASH_POINTS.index(point) % 3}"
            if "flatten" in point or "cancel" in point:
                passes = ""
            with trader(gw, tmp_path, crash_at=point + passes, **wish) as run:
                died(run)
                if run.of("ready"):
                    starts.append(run.ready())
            check_orders(gw)
        restarted(gw, tmp_path, starts)
    check_naked(watch.naked)
    record(
        "named places",
        places=len(SAMPLE),
        naked_s=watch.naked.longest,
        ready_p99_s=percentile(starts, 0.99),
        ready_p50_s=percentile(starts, 0.5),
    )


def test_a_kill_at_any_instant_loses_doubles_and_bares_nothing(tmp_path: Path) -> None:
    starts: list[float] = []
    chance = random.Random(20261124)
    orders = 0
    with gateway(tmp_path) as gw, Watch(gw) as watch:
        for _ in range(N):
            with trader(gw, tmp_path, **BUSY) as run:
                starts.append(run.ready())
                time.sleep(chance.uniform(0.0, 2.5))
                assert run.kill() == -signal.SIGKILL, run.told()
            orders = len(check_orders(gw))
        restarted(gw, tmp_path, starts)
    check_naked(watch.naked)
    assert orders >= 3
    record(
        "random instants",
        kills=N,
        orders=orders,
        naked_s=watch.naked.longest,
        naked_spells=watch.naked.spells,
        largest=watch.naked.largest,
        ready_p99_s=percentile(starts, 0.99),
        ready_p50_s=percentile(starts, 0.5),
    )


def test_a_command_that_is_cut_off_by_a_kill_is_obeyed_by_the_next_start(tmp_path: Path) -> None:
    with gateway(tmp_path) as gw:
        state = tmp_path / "state"
        with trader(gw, tmp_path, crash_at="before_command_done", cold=True) as run:
            run.ready()
            run.wait_for("fill")
            state_files.write_command(state / state_files.KILL, KillCommand("flatten", "x", 1))
            died(run)
        with trader(gw, tmp_path) as run:
            run.ready()
            run.wait(lambda: not gw.positions(), "flat")
            run.wait(lambda: not gw.working(), "nothing works")
            assert not run.of("sent")
            settle(gw, run, state)
