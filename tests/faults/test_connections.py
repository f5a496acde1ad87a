"""A connection that breaks, freezes, or says that the broker is gone, with brackets at work."""

import time
from pathlib import Path
from typing import Any

import pytest

from faults.harness import (
    Gateway,
    Trader,
    Watch,
    bench,
    gateway,
    percentile,
    record,
    settle,
    some,
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


PLACES = some(boundaries(), 16)


def _links(run: Trader) -> list[dict[str, Any]]:
    return [event for event in run.of("link") if event["which"] == "orders"]


def _ready(run: Trader) -> int:
    return sum(event["state"] == "READY" for event in _links(run))


def test_a_drop_at_any_message_of_a_bracket_doubles_and_bares_nothing(tmp_path: Path) -> None:
    back: list[float] = []
    with bench(tmp_path, **SHORT) as (here, naked):
        for place in PLACES:
            links = _ready(here.run)
            here.bracket(lambda gw, p=place: gw.fault("drop", **p), f"a drop {place}")
            here.run.wait(lambda n=links: _ready(here.run) > n, f"connected after {place}", 30)
            gone = [e["at"] for e in _links(here.run) if e["state"] == "DISCONNECTED"]
            there = [e["at"] for e in _links(here.run) if e["state"] == "READY"]
            back.append(there[-1] - max(at for at in gone if at < there[-1]))
        orders = len(here.gateway.ours())
    assert naked.longest < NAKED_S, naked
    record(
        "drop at message boundaries",
        boundaries=len(PLACES),
        orders=orders,
        naked_s=naked.longest,
        synced_p50_s=percentile(back, 0.5),
        synced_max_s=max(back),
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


@pytest.mark.parametrize("scene", some(list(SCENES), len(SCENES)))
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
    record(scene, naked_s=watch.naked.longest, noticed_s=noticed - began, without_trading_s=away)


QUICK = ("live.orders_per_minute=60", "live.reentries=100", "live.refusals=100")


def halted(run: Trader, since: float) -> list[dict[str, Any]]:
    """Return when the kill switch stopped entries, or the connection was known to be lost."""
    return [
        event
        for event in run.of("kill", "link")
        if event["at"] > since and event["state"] not in ("READY", "NORMAL")
    ]
