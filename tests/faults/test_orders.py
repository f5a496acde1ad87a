"""Answers about orders that are false, late, twice, or do not come, while brackets are at work."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from faults.harness import ALL_FROM, Gateway, N, bench, record, some

pytestmark = pytest.mark.slow

ORDERS = 71
CROSSING_S = 60
NAKED_S = 5.0
SHORT = {"distance": 6, "pause_s": 3, "close_s": 30}

Arm = Callable[[Gateway], object]


def fault(name: str, when: dict[str, Any] | None = None, **parameters: Any) -> Arm:
    return lambda gw: gw.fault(name, {"client": ORDERS, **(when or {})}, **parameters)


def both(*arms: Arm) -> Arm:
    def arm(gw: Gateway) -> None:
        for one in arms:
            one(gw)

    return arm


LAST_LEG = {"message": 3, "direction": "in", "count": 3}
FALSE_CANCELS = {
    f"{code} on the {role}": fault("false_cancel", {"order_ref": f"*:{role}"}, code=code)
    for code in (10349, 161, 104, 10147, 10148, 105)
    for role in "EST"
}
AMBIGUOUS = {
    "no acknowledgement of the entry": fault(
        "missing_acknowledgement", {"order_ref": "*:E", "times": 6}
    ),
    "no acknowledgement of anything": fault("missing_acknowledgement", {"times": 9}),
    "the last leg is read and the socket dies without answers": fault(
        "drop", LAST_LEG, after=True, reset=True, answers=False
    ),
    "the last leg is never read": fault("ignored", LAST_LEG),
    "the entry is never read": fault("ignored", LAST_LEG | {"count": 1}),
}
FILLS = {
    "fills in a zone without a name, over a drop": both(
        fault("execution_zone", zone="Central European Standard Time"),
        fault("drop", {"message": 11, "direction": "out"}),
    ),
    "fills without a zone, over a drop": both(
        fault("execution_zone", zone=""), fault("drop", {"message": 11, "direction": "out"})
    ),
    "executions twice": fault("duplicated_execution", {"times": 0}),
    "executions late": fault("late_execution", {"times": 0}, seconds=1.5),
    "fills before statuses": fault("fill_before_status"),
    "statuses before executions": fault("status_before_execution"),
    "statuses without executions": fault("status_without_execution", {"times": 4}),
    "executions without statuses": fault("execution_without_status"),
    "corrected": fault("corrected_execution"),
    "statuses twice": fault("duplicated_status", {"times": 0}),
    "no commissions": fault("missing_commission"),
}
REFUSALS = {
    "the stop is rejected": fault("child_reject"),
    "the target is rejected": fault("child_reject", {"order_ref": "*:T"}),
    "the entry is rejected": fault("reject", {"order_ref": "*:E"}),
    "the change of a stop makes two of it": fault("forked_modify", {"order_ref": "*:S"}),
}
CANCELS = {
    f"the cancellation of an entry is answered with {code}": fault("cancel_answer", code=code)
    for code in (10147, 10148, 161)
}
GROUPS = {
    "false cancels": FALSE_CANCELS,
    "ambiguous submits": AMBIGUOUS,
    "fills": FILLS,
    "refusals": REFUSALS,
    "cancellations": CANCELS,
}
RESTING = {"kind": "LIMIT", "away": 20, "close_s": 10}
if N < ALL_FROM:
    EVERYTHING = {what: arm for cases in list(GROUPS.values())[:-1] for what, arm in cases.items()}
    GROUPS = {"a sample": dict(some(list(EVERYTHING.items()), 8))}
ROUNDS = max(1, N // ALL_FROM)


@pytest.mark.parametrize("group", GROUPS)
def test_lies_about_orders_double_lose_and_bare_nothing(tmp_path: Path, group: str) -> None:
    cases = GROUPS[group].items()
    trail = group in ("refusals", "a sample")
    wish = SHORT | (RESTING if group == "cancellations" else {})
    with bench(tmp_path, trail=trail, **wish) as (here, naked):
        for _ in range(ROUNDS):
            for what, arm in cases:
                here.bracket(arm, what, fires="two of it" not in what)
        orders = len(here.gateway.ours())
    assert naked.longest < NAKED_S, naked
    record(group, cases=len(cases), rounds=ROUNDS, orders=orders, naked_s=naked.longest)


def test_a_position_that_two_exits_turned_round_is_closed_again(tmp_path: Path) -> None:
    with bench(tmp_path, distance=8, pause_s=3, close_s=1) as (here, naked):
        gw, run = here.gateway, here.run

        def flattened() -> bool:
            return any(event["role"] == "FLATTEN" for event in run.of("fill"))

        gw.fault("crossed_exit", {"client": ORDERS})
        here.hold.unlink()
        run.wait(run.passed, "a bracket")
        here.hold.touch()
        run.wait(flattened, "the market order fills")
        for _ in range(50):
            # The group did not end the others: the market reaches one before the trader does.
            if gw.positions():
                break
            gw.jump(CROSSING_S)
        assert gw.positions(), run.told()
        run.wait(lambda: not gw.positions() and not gw.working(), "it is closed again")
        run.wait(lambda: run.of("closed"), "it is booked")
        assert "OVERFILL" in {event["trouble"] for event in run.of("alarm")}
        ends = [order["filled"] for order in gw.ours() if order["type"] != "MKT"]
        assert sum(ends) == 1
        assert sum(order["filled"] for order in gw.ours()) == 4
    assert naked.longest < NAKED_S, naked
    record("crossed exits", orders=4, naked_s=naked.longest)
