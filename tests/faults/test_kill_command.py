"""The kill command against the real trader: alive, stopped, and with a position."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from faults.harness import ROOT, N, Watch, check_orders, gateway, record, settle, trader

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name != "posix", reason="signals of POSIX"),
]

HOLDING = {"cold": True, "distance": 60, "pause_s": 3}


def kill(state: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mia.kill", *words, "--state", str(state)],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def test_flatten_closes_what_is_held_and_stays_in_force(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with gateway(tmp_path) as gw, Watch(gw) as watch:
        with trader(gw, tmp_path, **HOLDING) as run:
            run.ready()
            run.wait(gw.positions, "a position")
            began = time.monotonic()
            done = kill(state, "flatten")
            assert done.returncode == 0, done.stderr + run.told()
            took = time.monotonic() - began
            assert not gw.positions()
            assert not gw.working()
            sent = len(run.of("sent"))
            time.sleep(2.0)
            assert len(run.of("sent")) == sent
            settle(gw, run, state)
        with trader(gw, tmp_path, **HOLDING) as run:
            run.ready()
            time.sleep(2.0)
            assert not run.of("sent"), run.told()
    assert watch.naked.longest < 5.0
    record("kill flatten, trader alive", flat_after_s=took)


def test_a_signal_alone_halts_entries_and_leaves_the_stop(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with gateway(tmp_path) as gw, trader(gw, tmp_path, **HOLDING) as run:
        run.ready()
        run.wait(gw.positions, "a position")
        run.process.send_signal(signal.SIGUSR1)
        run.wait(lambda: any(e["rule"] == "COMMAND_HALT" for e in run.of("kill")), "halt", 5)
        time.sleep(1.0)
        assert gw.positions()
        assert any(order["type"] == "STP" for order in gw.working())
        assert len(run.passed()) == 1
        settle(gw, run, state)


def test_flatten_closes_the_position_of_a_trader_that_is_stopped(tmp_path: Path) -> None:
    taken: list[float] = []
    longest = 0.0
    for number in range(max(1, N // 10)):
        # To a fresh directory the round before is a bracket that nobody remembers: it would halt.
        folder = tmp_path / str(number)
        folder.mkdir()
        state = folder / "state"
        with gateway(folder) as gw, Watch(gw) as watch, trader(gw, folder, **HOLDING) as run:
            run.ready()
            run.wait(gw.positions, "a position")
            run.process.send_signal(signal.SIGSTOP)
            began = time.monotonic()
            done = kill(state, "flatten", "--force", "--timeout", "3")
            taken.append(time.monotonic() - began)
            assert done.returncode == 0, done.stdout + done.stderr
            assert not gw.positions()
            assert not gw.working()
            check_orders(gw)
            assert run.end() == -signal.SIGKILL
        longest = max(longest, watch.naked.longest)
    assert longest < 5.0
    record("kill flatten, trader stopped", times=len(taken), flat_after_max_s=max(taken))
