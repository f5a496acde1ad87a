"""The last gate: each refusal with its near miss, and that it fails closed."""

from dataclasses import fields, replace
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mia.core.base_types import OrderType, TradingMode, TradingState
from mia.core.trading_types import BracketOrder
from mia.errors import ConfigError
from mia.execution.gate_facts import GateFacts, GateLimits, Refused
from mia.execution.last_gate import LastGate

SECOND = 1_000_000_000
T = 1_763_479_800_000_000_000
PAPER, LIVE = "DU1234567", "U1234567"
LIMITS = GateLimits(max_size=2, daily_loss_usd=600.0)
ORDER = BracketOrder(
    "TRADE_20251118_153000_00000001",
    "ES",
    "ESZ25",
    1,
    1,
    OrderType.LIMIT,
    24_000,
    23_992,
    24_016,
    T,
)
FACTS = GateFacts(
    ts=T,
    account=PAPER,
    state=TradingState.NORMAL,
    why_no_risk="",
    last_price=24_002,
    data_age_ns=SECOND,
    data_valid=True,
    session_open=True,
    market_halted=False,
    limit_down=None,
    limit_up=None,
    exposure=0,
    realized=0.0,
    open_pnl=0.0,
    worst_pnl=0.0,
)


def gate(limits=LIMITS, account=PAPER, mode=TradingMode.PAPER, **rest) -> LastGate:
    return LastGate(limits, account, mode, **rest)


def code(order=ORDER, facts=FACTS, of=None) -> Refused | None:
    refusal = (of or gate()).check(order, facts)
    return None if refusal is None else refusal.code


def other(number: int, **changed) -> BracketOrder:
    return replace(ORDER, bracket_id=f"TRADE_20251118_153000_{number:08x}", **changed)


def test_an_order_within_all_limits_passes() -> None:
    assert code() is None


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"quantity": 2}, None),
        ({"quantity": 3}, Refused.MAX_SIZE),
        ({"quantity": 0}, Refused.BRACKET),
        ({"symbol": "MES", "quantity": 20}, None),
        ({"symbol": "MES", "quantity": 21}, Refused.MAX_SIZE),
        ({"symbol": "NQ"}, Refused.BRACKET),
        ({"side": 0}, Refused.BRACKET),
        ({"side": -1}, Refused.BRACKET),
        ({"side": -1, "stop": 24_008, "target": 23_984}, None),
        ({"entry_type": OrderType.STOP_LIMIT}, Refused.BRACKET),
        ({"entry_type": OrderType.MARKET}, None),
        ({"stop": 24_000}, Refused.BRACKET),
        ({"stop": 23_999}, None),
        ({"stop": 23_920}, Refused.DAILY_LOSS),
        ({"stop": 23_919}, Refused.BRACKET),
        ({"target": 24_000}, Refused.BRACKET),
        ({"target": 24_400}, None),
        ({"target": 24_401}, Refused.BRACKET),
        ({"entry": 23_962, "stop": 23_960}, None),
        ({"entry": 23_961, "stop": 23_960}, Refused.PRICE_BAND),
        ({"entry": 24_043, "stop": 24_040, "target": 24_050}, Refused.PRICE_BAND),
        ({"stop": nan}, Refused.BRACKET),
        ({"entry": 24_000.0}, Refused.BRACKET),
        ({"quantity": True}, Refused.BRACKET),
        ({"target": None}, Refused.BRACKET),
        ({"bracket_id": ""}, Refused.DUPLICATE_ID),
    ],
)
def test_the_order_itself(changed, expected) -> None:
    assert code(replace(ORDER, **changed)) is expected


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"state": TradingState.HALT_ENTRIES}, Refused.KILL_STATE),
        ({"account": "DU7654321"}, Refused.ACCOUNT),
        ({"account": ""}, Refused.ACCOUNT),
        ({"why_no_risk": "order x is UNKNOWN"}, Refused.NOT_READY),
        ({"session_open": False}, Refused.SESSION_CLOSED),
        ({"session_open": None}, Refused.SESSION_CLOSED),
        ({"market_halted": True}, Refused.MARKET_HALTED),
        ({"market_halted": None}, Refused.MARKET_HALTED),
        ({"data_valid": False}, Refused.DATA_INVALID),
        ({"data_valid": None}, Refused.DATA_INVALID),
        ({"last_price": None}, Refused.DATA_INVALID),
        ({"last_price": 0}, Refused.DATA_INVALID),
        ({"last_price": nan}, Refused.PRICE_BAND),
        ({"data_age_ns": 10 * SECOND}, None),
        ({"data_age_ns": 10 * SECOND + 1}, Refused.DATA_STALE),
        ({"data_age_ns": -1}, Refused.DATA_STALE),
        ({"data_age_ns": None}, Refused.DATA_STALE),
        ({"limit_down": 23_991}, None),
        ({"limit_down": 23_992}, Refused.PRICE_LIMIT),
        ({"limit_up": 24_003}, None),
        ({"limit_up": 24_002}, Refused.PRICE_LIMIT),
        ({"exposure": 10}, None),
        ({"exposure": 11}, Refused.POSITION),
        ({"exposure": -1}, Refused.POSITION),
        ({"exposure": None}, Refused.POSITION),
        ({"exposure": nan}, Refused.POSITION),
        # at risk: 8 + 2 ticks and two commissions make 129.50
        ({"realized": -470.49}, None),
        ({"realized": -470.50}, Refused.DAILY_LOSS),
        ({"realized": -300.0, "open_pnl": 500.0, "worst_pnl": -170.50}, Refused.DAILY_LOSS),
        ({"realized": -300.0, "open_pnl": -170.50, "worst_pnl": 0.0}, Refused.DAILY_LOSS),
        ({"realized": nan}, Refused.DAILY_LOSS),
        ({"realized": inf}, Refused.DAILY_LOSS),
        ({"open_pnl": nan}, Refused.DAILY_LOSS),
        ({"worst_pnl": nan}, Refused.DAILY_LOSS),
    ],
)
def test_the_world_around_it(changed, expected) -> None:
    assert code(facts=replace(FACTS, **changed)) is expected


def test_whatever_is_not_known_refuses() -> None:
    optional = {"limit_down", "limit_up"}
    for field in fields(GateFacts):
        if field.name not in optional and field.name != "ts":
            assert code(facts=replace(FACTS, **{field.name: None})) is not None, field.name


def test_the_size_of_a_market_stop_counts_towards_the_day() -> None:
    facts = replace(FACTS, realized=-341.0)
    assert code(replace(ORDER, quantity=2), facts) is Refused.DAILY_LOSS
    assert code(facts=facts) is None


def test_an_id_serves_once_for_ever() -> None:
    assert code(of=gate(seen=[replace(ORDER, ts=T - 10**17)])) is Refused.DUPLICATE_ID
    once = gate()
    assert code(of=once) is None
    later = replace(FACTS, ts=T + 3600 * SECOND)
    assert code(facts=later, of=once) is Refused.DUPLICATE_ID


def test_the_same_side_and_price_within_seconds_are_the_same_intent() -> None:
    once = gate()
    assert code(of=once) is None
    assert code(other(2), replace(FACTS, ts=T + 9 * SECOND), once) is Refused.DUPLICATE_INTENT
    assert code(other(3, entry=24_001), replace(FACTS, ts=T + 9 * SECOND), once) is None
    assert code(other(4), replace(FACTS, ts=T + 10 * SECOND), once) is None


def test_the_rate_of_orders_is_bounded_across_a_restart() -> None:
    limits = replace(LIMITS, orders_per_minute=3, reentries=99)
    first = gate(limits)
    sent = []
    for k in range(3):
        order = other(k, entry=24_000 + k, ts=T + k)
        assert code(order, replace(FACTS, ts=T + k), first) is None
        sent.append(order)
    soon, later = replace(FACTS, ts=T + 59 * SECOND), replace(FACTS, ts=T + 60 * SECOND)
    for each in (first, gate(limits, seen=sent)):
        assert code(other(9, entry=24_009), soon, each) is Refused.ORDER_RATE
        assert code(other(8, entry=24_008), later, each) is None


def test_reentries_of_one_side_are_bounded() -> None:
    one = gate(replace(LIMITS, orders_per_minute=99, reentries=2))
    for k in range(2):
        assert code(other(k, entry=24_000 + k), of=one) is None
    assert code(other(3, entry=24_003), of=one) is Refused.REENTRY_RATE
    short = other(4, side=-1, entry=24_004, stop=24_008, target=23_984)
    assert code(short, of=one) is None
    assert code(other(5), replace(FACTS, ts=T + 300 * SECOND), one) is None


def test_a_clock_that_goes_back_makes_no_room() -> None:
    one = gate(replace(LIMITS, orders_per_minute=2))
    assert code(other(1), of=one) is None
    assert code(other(2, entry=24_001), of=one) is None
    back = replace(FACTS, ts=T - 3600 * SECOND)
    assert code(other(3, entry=24_002), back, one) is Refused.ORDER_RATE


def test_what_left_while_the_clock_was_behind_counts_as_newest() -> None:
    one = gate(replace(LIMITS, orders_per_minute=2))
    back = replace(FACTS, ts=T - 3600 * SECOND)
    assert code(other(1), of=one) is None
    assert code(other(2, entry=24_001), back, one) is None
    assert code(other(3, entry=24_002), of=one) is Refused.ORDER_RATE


def armed() -> None:
    pass


def locked() -> None:
    raise ConfigError("live trading is locked: give --live")


@pytest.mark.parametrize(
    ("mode", "account", "arming", "expected"),
    [
        (TradingMode.LIVE, LIVE, armed, None),
        (TradingMode.LIVE, LIVE, None, Refused.NOT_ARMED),
        (TradingMode.LIVE, LIVE, locked, Refused.NOT_ARMED),
        (TradingMode.LIVE, PAPER, armed, Refused.MODE),
        (TradingMode.PAPER, LIVE, armed, Refused.MODE),
        (TradingMode.DATA_COLLECTION, LIVE, armed, Refused.MODE),
        (TradingMode.PAPER, PAPER, None, None),
        (TradingMode.PAPER, "", None, Refused.ACCOUNT),
    ],
)
def test_live_by_accident(mode, account, arming, expected) -> None:
    one = gate(account=account, mode=mode, require_armed=arming)
    assert code(facts=replace(FACTS, account=account), of=one) is expected


def test_the_lock_is_tried_at_every_order() -> None:
    state = {"open": True}

    def lock() -> None:
        if not state["open"]:
            locked()

    one = gate(account=LIVE, mode=TradingMode.LIVE, require_armed=lock)
    facts = replace(FACTS, account=LIVE)
    assert code(facts=facts, of=one) is None
    state["open"] = False
    assert code(other(2, entry=24_001), facts, one) is Refused.NOT_ARMED


def test_a_runaway_shuts_the_gate_until_a_person_opens_it() -> None:
    one = gate(replace(LIMITS, refusals=5))
    bad = replace(ORDER, quantity=9)
    for _ in range(5):
        assert one.halted == ""
        assert code(bad, of=one) is Refused.MAX_SIZE
    assert one.halted
    later = replace(FACTS, ts=T + 86_400 * SECOND)
    assert code(facts=later, of=one) is Refused.RUNAWAY
    one.reopen()
    assert code(facts=later, of=one) is None


def test_refusals_far_apart_are_no_runaway() -> None:
    one = gate(replace(LIMITS, refusals=3))
    for k in range(9):
        code(replace(ORDER, quantity=9), replace(FACTS, ts=T + k * 31 * SECOND), one)
    assert one.halted == ""
    assert one.counts == {Refused.MAX_SIZE: 9}


def test_orders_of_a_hostile_strategy_that_get_through_are_counted() -> None:
    one = gate(replace(LIMITS, refusals=50))
    through = 0
    for k in range(5_000):
        order = other(k, entry=24_000 + k % 20)
        facts = replace(FACTS, ts=T + k * SECOND // 1000)
        through += code(order, facts, one) is None
    assert through <= 3
    assert one.halted


def test_a_refusal_is_written_down_and_stands_if_that_fails() -> None:
    notes = []
    one = gate(note=lambda kind, payload, ts: notes.append((kind, payload, ts)))
    assert code(replace(ORDER, quantity=9), of=one) is Refused.MAX_SIZE
    kind, payload, ts = notes[0]
    assert (kind, payload["code"], payload["bracket_id"]) == (
        "gate.refused",
        "MAX_SIZE",
        ORDER.bracket_id,
    )
    assert ts == T

    def full(kind, payload, ts) -> None:
        raise OSError("no space left on device")

    one = gate(note=full)
    assert code(replace(ORDER, quantity=9), of=one) is Refused.MAX_SIZE
    assert code(of=one) is Refused.RUNAWAY


def test_exits_are_never_refused_and_oddities_are_told() -> None:
    one = gate()
    assert one.exit_concern(-1, 2, 2) == ""
    assert "turns" in one.exit_concern(-1, 3, 2)
    assert "does not reduce" in one.exit_concern(1, 1, 2)
    assert "is none" in one.exit_concern(-1, 0, 2)
    assert one.stop_concern(1, 23_992, 23_996, 24_000) == ""
    assert "looser" in one.stop_concern(1, 23_992, 23_990, 24_000)
    assert "at once" in one.stop_concern(-1, 24_010, 24_000, 24_000)
    assert "no price" in one.stop_concern(1, 23_992, 0, None)


@given(
    st.fixed_dictionaries(
        {
            "last_price": st.none() | st.integers(-(10**9), 10**9),
            "data_age_ns": st.none() | st.integers(-(10**12), 10**12),
            "exposure": st.none() | st.integers(-100, 100),
            "realized": st.floats(allow_nan=True),
            "open_pnl": st.floats(allow_nan=True),
            "worst_pnl": st.floats(allow_nan=True),
            "limit_down": st.none() | st.integers(20_000, 26_000),
            "limit_up": st.none() | st.integers(20_000, 26_000),
        }
    ),
    st.integers(-2, 2),
    st.integers(-1, 30),
    st.tuples(*[st.integers(-10, 26_000)] * 3),
)
def test_what_passes_keeps_every_limit(changed, side, quantity, prices) -> None:
    facts = replace(FACTS, **changed)
    order = replace(
        ORDER, side=side, quantity=quantity, entry=prices[0], stop=prices[1], target=prices[2]
    )
    if code(order, facts) is None:
        risk = side * (order.entry - order.stop)
        assert 0 < risk <= LIMITS.max_stop_ticks
        assert side * (order.target - order.entry) > 0
        assert facts.exposure + 10 * quantity <= 20
        assert abs(order.entry - facts.last_price) <= LIMITS.band_ticks
        assert facts.realized - risk * 12.5 * quantity > -600
