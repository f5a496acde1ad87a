"""A connection that breaks, freezes, or says that the broker is gone, while brackets are at work."""

import time
from pathlib import Path
from typing import Any

import pytest
from faults.harness import (
    Gateway,
    N,
    Trader,
    Watch,
    check_orders,
    command,
    gateway,
    percentile,
    record,
    settle,
    trader,
    trades_again,
)

pytestmark = pytest.mark.slow

ORDERS, DATA = 71, 72
NAKED_S = 5.0
# Stop and target near: each bracket is over within seconds.
SHORT = {"distance": 6, "pause_s": 3, "close_s": 30}


def boundaries() -> list[dict[str, Any]]:
    """Return every place at which the connection of a bracket can end."""
    into = [
        {"when": {"message": 3, "direction": "in", "count": k, "client": ORDERS}, "after": after}
        for k in (1, 2, 3)
        for after in (False, True)
    ]
    out = [
        {
            "when": {
                "message": [3, 5, 11, 59],
                "direction": "out",
                "count": k,
                "client": ORDERS,
            }
        }
        for k in range(1, 15)
    ]
    return [place | {"reset": reset} for place in into + out for reset in (False, True)]


PLACES = boundaries() if N >= 20 else boundaries()[int(time.time()) // 86_400 % 8 :: 8]


def _ready(run: Trader) -> int:
    return sum(e["which"] == "orders" and e["state"] == "READY" for e in run.of("link"))


def test_a_drop_at_any_message_of_a_bracket_doubles_and_bares_nothing(tmp_path: Path) -> None:
    state, hold = tmp_path / "state", tmp_path / "hold"
    back: list[float] = []
    hold.touch()
    with (
        gateway(tmp_path) as gw,
        Watch(gw) as watch,
        trader(gw, tmp_path, hold=str(hold), **SHORT) as run,
    ):
        run.ready()
        for place in PLACES:
            run.wait(lambda: not gw.working() and not gw.positions(), f"flat before {place}", 60)
            command(state, "reset")
            gw.clear()
            gw.fault("drop", **place)
            links, began = _ready(run), len(run.of("sent"))
            hold.unlink()
            run.wait(lambda b=began: len(run.of("sent")) > b, f"a bracket for {place}", 40)
            hold.touch()
            run.wait(gw.fired, f"the drop {place}", 30)
            dropped = time.monotonic()
            run.wait(lambda n=links: _ready(run) > n, f"connected after {place}", 30)
            back.append(time.monotonic() - dropped)
            check_orders(gw)
        run.wait(lambda: not gw.working(), "flat at last", 60)
        settle(gw, run, state)
    assert watch.naked.longest < NAKED_S, watch.naked
    record(
        "drop at message boundaries",
        boundaries=len(PLACES),
        naked_s=watch.naked.longest,
        back_p50_s=percentile(back, 0.5),
        back_max_s=max(back),
    )


def _freeze(gw: Gateway) -> None:
    gw.fault("freeze", seconds=12.0)


def _restart(gw: Gateway) -> None:
    gw.fault("restart", seconds=2.0, ids_back=50)


SCENES = {
    "half-open for 12 s": _freeze,
    "1100, then 1102": lambda gw: gw.fault("link_lost", seconds=3.0),
    "1100, then 1101": lambda gw: gw.fault("link_lost", seconds=3.0, data_kept=False),
    "competing session": lambda gw: gw.fault("competing_session", seconds=3.0),
    "nightly reset": lambda gw: gw.fault("nightly_reset", seconds=3.0, drop=True),
    "gateway restart, ids go back": _restart,
}


@pytest.mark.parametrize("scene", SCENES)
def test_no_entry_leaves_while_the_broker_is_away_and_trading_goes_on_after(
    tmp_path: Path, scene: str
) -> None:
    with (
        gateway(tmp_path) as gw,
        Watch(gw) as watch,
        trader(gw, tmp_path, settings=("live.tick_age_s=3", *QUICK), **SHORT) as run,
    ):
        run.ready()
        run.wait_for("fill")
        began = time.monotonic()
        SCENES[scene](gw)
        run.wait(lambda: halted(run, began), "it notices", 20)
        noticed = halted(run, began)[0]["at"]
        away = trades_again(run, noticed, 60)
        time.sleep(2.0)
        settle(gw, run, tmp_path / "state")
    assert watch.naked.longest < NAKED_S, watch.naked
    record(
        scene, naked_s=watch.naked.longest, noticed_s=noticed - began, without_trading_s=away
    )


QUICK = ("live.orders_per_minute=60", "live.reentries=100", "live.refusals=100")


def halted(run: Trader, since: float) -> list[dict[str, Any]]:
    """Return when the kill switch stopped entries, or the connection was known to be lost."""
    return [
        event
        for event in run.of("kill", "link")
        if event["at"] > since and event["state"] not in ("READY", "NORMAL")
    ]
