"""Bad ticks end at the gate, good ones pass it unchanged."""

import numpy as np
import pytest
from wire_samples import COLUMNS, MAX_PRICE, SECOND, Quality, StandingClock, joined, through_a_gate

from mia.core import sessions
from mia.core.base_types import MISSING_PRICE
from mia.data.live_ticks import TickGate
from mia.data.tape import synthetic_tape
from mia.data.tick_verdicts import UNREPORTED, DataFault, Refusal
from mia.data.wire_tape import as_wire

DAY = 20250311
RTH = sessions.session_open(DAY) + (15 * 3600 + 1800) * SECOND
"""09:30 New York."""

NONE = MISSING_PRICE


@pytest.fixture
def quality() -> Quality:
    return Quality()


@pytest.fixture
def gate(quality: Quality) -> TickGate:
    """Return a gate that has seen a quote and a trade at 22400."""
    made = TickGate(StandingClock(RTH + 10**6 * SECOND), quality, "ESH25", MAX_PRICE)
    made.on_quote(RTH, 22_399, 22_400)
    made.on_trade(RTH, 22_400, 1)
    taken = made.take()
    assert taken is not None
    assert len(taken) == 1
    return made


def prices(gate: TickGate) -> list[int]:
    block = gate.take()
    return [] if block is None else block.price.tolist()


def test_a_clean_tape_passes_as_the_wire_shows_it() -> None:
    tape = synthetic_tape(3, 20250312, 4, 10_000)
    blocks, gate, quality, _ = through_a_gate(tape)
    wanted, found = joined(list(as_wire(tape).blocks())), joined(blocks)
    for name in COLUMNS:
        assert found[name].dtype == wanted[name].dtype
        assert (found[name] == wanted[name]).all(), name
    assert gate.refused.total() == 0 == quality.bad
    assert gate.accepted == len(wanted["price"])


def test_whatever_is_bad_is_refused_and_counted_and_nothing_else_changes() -> None:
    tape = synthetic_tape(5, 20250312, 2, 10_000)
    clean, *_ = through_a_gate(tape)
    blocks, gate, quality, injected = through_a_gate(tape, bad_every=20, seed=1)
    assert injected > 500
    assert quality.bad == injected == gate.refused.total()
    assert set(gate.refused) == set(Refusal) - {Refusal.CLOSED}
    for name in COLUMNS:
        assert (joined(blocks)[name] == joined(clean)[name]).all(), name


@pytest.mark.parametrize(
    ("price", "size", "why"),
    [
        (float("nan"), 1, Refusal.NOT_A_NUMBER),
        (float("inf"), 1, Refusal.NOT_A_NUMBER),
        (None, 1, Refusal.NOT_A_NUMBER),
        (22_400.5, 1, Refusal.OFF_GRID),
        (0, 1, Refusal.PRICE_RANGE),
        (-22_400, 1, Refusal.PRICE_RANGE),
        (MAX_PRICE + 1, 1, Refusal.PRICE_RANGE),
        (22_400, 0, Refusal.SIZE),
        (22_400, -1, Refusal.SIZE),
        (22_400, float("nan"), Refusal.NOT_A_NUMBER),
    ],
)
def test_an_impossible_trade_is_refused(gate, quality, price, size, why) -> None:
    assert not gate.on_trade(RTH + SECOND, price, size)
    assert gate.refused == {why: 1}
    assert quality.bad == 1
    assert prices(gate) == []


def test_whole_numbers_of_any_type_are_taken(gate) -> None:
    assert gate.on_trade(RTH, 22_400.0, np.int64(2))
    assert prices(gate) == [22_400]


def test_a_trade_that_makes_no_price_is_passed_over_without_blame(gate, quality) -> None:
    assert not gate.on_trade(RTH, 22_800, 5, flags=UNREPORTED)
    assert (gate.unreported, quality.bad, prices(gate)) == (1, 0, [])


def test_time_must_not_go_back_nor_run_ahead(gate) -> None:
    assert not gate.on_trade(RTH - SECOND, 22_400, 1)
    assert gate.on_trade(RTH, 22_400, 1)
    assert not gate.on_quote(RTH - SECOND, 22_399, 22_400)
    assert not gate.on_trade(RTH + (10**6 + 6) * SECOND, 22_400, 1)
    assert gate.refused == {Refusal.TIME_BACK: 2, Refusal.AHEAD: 1}


def test_the_weekend_has_no_trades_and_quotes_before_the_open_are_no_fault(gate, quality) -> None:
    sunday_noon = sessions.session_open(20250317) - 6 * 3600 * SECOND
    clock = StandingClock(sunday_noon)
    fresh = TickGate(clock, quality, "ESH25", MAX_PRICE)
    bad = quality.bad
    assert not fresh.on_quote(sunday_noon, 22_399, 22_400)
    assert quality.bad == bad
    assert not fresh.on_trade(sunday_noon, 22_400, 1)
    assert fresh.refused == {Refusal.CLOSED: 1}


def test_outside_the_price_limits_nothing_is_believed(gate) -> None:
    gate.set_limits(22_000, 22_500)
    assert not gate.on_trade(RTH, 22_501, 1)
    assert not gate.on_quote(RTH, 21_999, 22_400)
    assert gate.refused == {Refusal.PRICE_RANGE: 2}


def test_a_jump_that_the_next_trade_denies_is_refused(gate) -> None:
    assert gate.on_trade(RTH, 22_500, 1)
    assert (gate.waiting, prices(gate)) == (1, [])
    gate.on_trade(RTH, 22_401, 1)
    assert (gate.waiting, prices(gate)) == (0, [22_401])
    assert gate.refused == {Refusal.JUMP: 1}


def test_a_jump_that_the_quote_confirms_is_kept_in_its_place(gate) -> None:
    gate.on_trade(RTH, 22_500, 1)
    gate.on_quote(RTH, 22_499, 22_501)
    gate.on_trade(RTH, 22_501, 2)
    block = gate.take()
    assert block.price.tolist() == [22_500, 22_501]
    assert block.bid_price.tolist() == [22_399, 22_499]
    assert gate.refused.total() == 0


def test_a_quote_that_leads_the_jump_is_believed_with_its_trade(gate) -> None:
    gate.on_quote(RTH, 22_500, 22_501)
    assert gate.bid == 22_399
    gate.on_trade(RTH, 22_501, 1)
    block = gate.take()
    assert (block.price.tolist(), block.ask_price.tolist()) == ([22_501], [22_501])
    assert gate.refused.total() == 0


def test_a_quote_alone_in_its_place_is_refused(gate) -> None:
    gate.on_quote(RTH, 22_500, 22_501)
    gate.on_quote(RTH, 22_398, 22_399)
    assert (gate.bid, gate.ask) == (22_398, 22_399)
    assert gate.refused == {Refusal.JUMP: 1}


def test_without_a_quote_three_trades_make_a_market(gate) -> None:
    gate.lose_quote()
    for price in (22_500, 22_501):
        gate.on_trade(RTH, price, 1)
    assert prices(gate) == []
    gate.on_trade(RTH, 22_499, 1)
    assert prices(gate) == [22_500, 22_501, 22_499]


def test_against_a_standing_quote_three_trades_make_none(gate) -> None:
    for price in (22_500, 22_501, 22_502, 22_503):
        gate.on_trade(RTH, price, 1)
    assert (prices(gate), gate.waiting) == ([], 4)
    gate.on_trade(RTH, 22_400, 1)
    assert prices(gate) == [22_400]
    assert gate.refused == {Refusal.JUMP: 4}


def test_after_a_silence_a_greater_move_is_believed(gate) -> None:
    gate.on_trade(RTH + 60 * SECOND, 22_426, 1)
    assert prices(gate) == [22_426]
    gate.on_trade(RTH + 60 * SECOND, 22_452, 1)
    assert prices(gate) == []


def test_quotes_that_stand_still_while_trades_leave_them_are_frozen(gate) -> None:
    for k in range(12):
        gate.on_trade(RTH + k * SECOND, 22_401 + k, 1)
    assert gate.quotes_frozen
    assert gate.fault(RTH + 12 * SECOND) is DataFault.QUOTES_FROZEN
    block = gate.take()
    assert block.ask_price[-1] == NONE
    gate.on_quote(RTH + 12 * SECOND, 22_412, 22_413)
    assert gate.fault(RTH + 12 * SECOND) is None


def test_a_sweep_through_many_prices_freezes_nothing(gate) -> None:
    for k in range(20):
        gate.on_trade(RTH, 22_401 + k, 1)
    assert not gate.quotes_frozen


def test_a_jump_away_from_frozen_quotes_is_believed_in_the_end(gate) -> None:
    for k in range(10):
        gate.on_trade(RTH + k * SECOND // 2, 22_600, 1)
    assert prices(gate) == [22_600] * 10
    assert gate.fault(RTH) is DataFault.QUOTES_FROZEN


def test_silence_is_a_fault_in_regular_hours_only(gate) -> None:
    assert gate.fault(RTH + 10 * SECOND) is None
    assert gate.fault(RTH + 11 * SECOND) is DataFault.STALE
    gate.on_quote(RTH + 11 * SECOND, 22_399, 22_401)
    assert gate.fault(RTH + 12 * SECOND) is None
    assert gate.fault(RTH + 7 * 3600 * SECOND) is None


def test_a_feed_that_never_began_is_stale() -> None:
    fresh = TickGate(StandingClock(RTH), lambda ts, good: None, "ESH25", MAX_PRICE)
    assert fresh.fault(RTH + SECOND) is DataFault.STALE


def test_the_side_that_a_feed_knows_is_kept(gate) -> None:
    gate.on_trade(RTH, 22_400, 1, side=-1)
    gate.on_trade(RTH, 22_400, 1)
    assert gate.take().aggressor_side.tolist() == [-1, 1]


def test_a_contract_begins_afresh_once_its_trades_are_taken(gate) -> None:
    gate.on_trade(RTH, 22_400, 1)
    with pytest.raises(ValueError, match="1 trades of ESH25 were not taken"):
        gate.start_contract("ESM25")
    gate.take()
    gate.start_contract("ESM25")
    assert (gate.bid, gate.ask) == (NONE, NONE)
    gate.on_quote(RTH, 22_600, 22_601)
    gate.on_trade(RTH, 22_600, 1)
    block = gate.take()
    assert (block.contract, block.price.tolist()) == ("ESM25", [22_600])
    assert gate.refused.total() == 0


def test_what_was_taken_stays_as_it_was(gate) -> None:
    gate.on_trade(RTH, 22_400, 1)
    first = gate.take()
    gate.on_trade(RTH, 22_401, 9)
    gate.take()
    assert (first.price.tolist(), first.size.tolist()) == ([22_400], [1])
    assert gate.take() is None
