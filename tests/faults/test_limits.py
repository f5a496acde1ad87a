"""What must not leave: runaways, losses of the day, orders on bad data, a second trader."""

import signal
import time
from pathlib import Path
from typing import Any

import pytest

from faults.harness import (
    Gateway,
    N,
    Watch,
    check_orders,
    command,
    gateway,
    record,
    settle,
    some,
    trader,
)

pytestmark = pytest.mark.slow

CAP = 6
ATTEMPTS = 500
BURST = 40
HOLDING = {"cold": True, "distance": 40, "pause_s": 3}


def entries_of(gw: Gateway) -> list[dict[str, Any]]:
    return [order for order in gw.ours() if order["order_ref"].endswith(":E")]


def test_of_a_runaway_strategy_no_more_than_the_cap_reaches_the_broker(tmp_path: Path) -> None:
    settings = (f"live.orders_per_minute={CAP}", "live.reentries=3", "live.refusals=100")
    with (
        gateway(tmp_path, speed=2) as gw,
        Watch(gw) as watch,
        trader(gw, tmp_path, settings=settings, hostile=BURST, cold=True) as run,
    ):
        run.ready()
        run.wait(lambda: len(run.of("refused")) >= ATTEMPTS, f"{ATTEMPTS} refusals", 120)
        refused, entries = run.of("refused"), entries_of(gw)
        assert 1 <= len(entries) <= CAP, run.told()
        assert refused[-1]["code"] == "RUNAWAY"
        # What was let through before the gate shut is closed again.
        run.wait(lambda: not gw.positions() and not gw.working(), "flat", 30)
        assert len(entries_of(gw)) == len(entries)
        check_orders(gw)
    times = [event["at"] for event in refused]
    fastest = min(later - first for first, later in zip(times, times[BURST:], strict=False))
    assert watch.naked.longest < 5.0
    record(
        "runaway",
        attempts=len(refused) + len(entries),
        per_second_in_a_burst=round(BURST / fastest),
        reached_broker=len(entries),
        cap=CAP,
    )


def test_a_loss_of_the_day_stays_latched_over_restarts_and_resets(tmp_path: Path) -> None:
    state = tmp_path / "state"
    limits = {"daily_loss": 1000, "per_trade": 1.0}
    restarts = max(2, N)
    with gateway(tmp_path) as gw:
        with trader(gw, tmp_path, **limits, **HOLDING) as run:
            run.ready()
            run.wait(
                lambda: any(e["rule"] == "DAY_LOSS_R" for e in run.of("kill")), "the latch", 90
            )
            latched = next(e["at"] for e in run.of("kill") if e["rule"] == "DAY_LOSS_R")
            run.wait(lambda: not gw.positions() and not gw.working(), "flat", 10)
            flat = time.monotonic() - latched
            sent = len(entries_of(gw))
            run.kill(signal.SIGKILL)
        for _ in range(restarts):
            with trader(gw, tmp_path, **limits, **HOLDING) as run:
                run.ready()
                command(state, "reset")
                time.sleep(1.5)
                assert not run.of("sent"), run.told()
                run.kill(signal.SIGKILL)
        assert len(entries_of(gw)) == sent
    record("daily loss", restarts=restarts, latches_lost=0, flat_after_s=flat)


BAD = ("zero", "negative", "nan", "off_grid", "crossed", "time_back", "huge")


def test_bad_ticks_cause_no_order(tmp_path: Path) -> None:
    injected: dict[str, int] = {}
    with (
        gateway(tmp_path) as gw,
        trader(gw, tmp_path, cold=True, pause_s=1, close_s=3, distance=30) as run,
    ):
        run.ready()
        run.wait_for("sent")
        for kind in some(BAD, 3):
            gw.fault("bad_tick", {"message": 99, "client": 72, "times": 0}, kind=kind)
            time.sleep(0.5)
            orders, began = len(run.of("sent")), gw.fired()
            time.sleep(4.0)
            injected[kind] = gw.fired() - began
            assert injected[kind] >= 5, kind
            assert len(run.of("sent")) == orders, (kind, run.told())
            gw.clear()
            command(tmp_path / "state", "reset")
            run.wait(lambda n=orders: len(run.of("sent")) > n, f"it trades after {kind}", 90)
        settle(gw, run, tmp_path / "state")
    record("bad ticks", injected=sum(injected.values()), orders_caused=0, **injected)


def test_a_second_trader_is_refused(tmp_path: Path) -> None:
    with gateway(tmp_path) as gw, trader(gw, tmp_path, cold=True) as first:
        first.ready()
        for _ in range(N):
            with trader(gw, tmp_path, cold=True) as second:
                assert second.end() == 7
                assert not second.of("sent")
        # With a directory of its own only the broker can refuse it, by the client id.
        with trader(
            gw, tmp_path, settings=("ibkr.busy_s=5",), state=tmp_path / "other", cold=True
        ) as second:
            code = second.end(60)
            assert code == 4, second.told()
            assert "71" in second.of("error")[0]["text"] or "72" in second.of("error")[0]["text"]
            assert not second.of("sent")
        assert first.process.poll() is None
        settle(gw, first, tmp_path / "state")
    record("two instances", attempted=N + 1, refused=N + 1)
