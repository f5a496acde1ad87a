"""`MarketState` by itself: batches, the clock, late trades, what sessions carry."""

import itertools
from typing import Any

import numpy as np
import pytest
import strategies_market as market
from compiled_engine import trade_columns
from fast.states import OPEN, SID, print_at, run, state_for, state_of
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from reference.conventions import MINUTE, SECOND
from reference.engine import ReferenceEngine

from mia._fast import market_state, records
from mia._fast.levels import LEVEL_KINDS
from mia._fast.market_state import CLOSE, PENDING, SESSION, SETUP
from mia.core.base_types import Phase

STREAMS = st.sampled_from(("time:60", "time:15", "reversal:4", "tick:9", "volume:90", "range:6"))
MASKS = st.sampled_from((0, CLOSE, SETUP, SESSION, CLOSE | SESSION))
EXAMPLES = pytest.mark.parametrize("examples", [25, pytest.param(400, marks=pytest.mark.slow)])
TICKS = ("ts_event", "price", "size", "aggressor_side")


def fingerprint(state: market_state.MarketState) -> tuple[Any, ...]:
    """Return what a state shows besides its rows."""
    ticks = tuple(getattr(state.ticks, name).tobytes() for name in TICKS)
    profile = state.levels.globex_profile.rows.tobytes()
    counts = (state.accepted, state.rejected, state.ticks.total, state.session_id, state.reasons)
    return (
        ticks,
        profile,
        counts,
        state.open_bar,
        state.micro.bars.tobytes(),
        state.levels.cvd.value,
    )


@EXAMPLES
def test_any_split_into_batches_leaves_the_same_rows_and_ticks(examples: int) -> None:
    @settings(max_examples=examples)
    @given(market.trades(market.UNRULY_KINDS), STREAMS, MASKS, st.sets(st.integers(1, 200)))
    def check(trades: list[market.Trade], primary: str, wake: int, cuts: set[int]) -> None:
        whole = state_of(trades, primary=primary, ring=64)
        rows = run(whole, trades)
        parts = state_of(trades, primary=primary, ring=64, rows=7)
        parts.wake = wake
        edges = [0, *sorted(cut for cut in cuts if cut < len(trades)), len(trades)]
        taken = [run(parts, trades[start:stop]) for start, stop in itertools.pairwise(edges)]
        assert np.concatenate(taken).tobytes() == rows.tobytes()
        assert fingerprint(parts) == fingerprint(whole)

    check()


@EXAMPLES
def test_single_trades_do_what_a_batch_does(examples: int) -> None:
    @settings(max_examples=examples)
    @given(market.trades(market.UNRULY_KINDS), STREAMS, MASKS)
    def check(trades: list[market.Trade], primary: str, wake: int) -> None:
        batch = state_of(trades, primary=primary, ring=64)
        rows = run(batch, trades)
        single = state_of(trades, primary=primary, ring=64)
        single.wake = wake
        for trade in trades:
            events = single.on_trade(*trade)
            while events & PENDING:
                assert events & wake
                events = single.resume()
            assert single.resume() == 0
        assert single.take_rows().tobytes() == rows.tobytes()
        assert fingerprint(single) == fingerprint(batch)

    check()


@EXAMPLES
def test_the_clock_closes_like_the_trade_that_comes_next(examples: int) -> None:
    @settings(max_examples=examples)
    @given(
        market.trades(),
        st.sampled_from(("time:60", "time:15", "tick:9")),
        st.sampled_from(("reversal:4", "time:15")),
        st.lists(st.floats(0.0, 1.0), min_size=1, max_size=20),
    )
    def check(trades: list[market.Trade], primary: str, micro: str, calls: list[float]) -> None:
        # A trade that is refused ends no bar, whatever the clock has done by then.
        trades = [trade for trade in trades if trade[2] > 0]
        assume(trades)
        plain = state_of(trades, primary=primary, micro=micro)
        rows = run(plain, trades)
        clocked = state_of(trades, primary=primary, micro=micro)
        clocked.wake = 0
        for k, trade in enumerate(trades):
            clocked.on_trade(*trade)
            if k + 1 < len(trades):
                share = calls[k % len(calls)]
                clocked.advance_clock(trade[0] + round(share * (trades[k + 1][0] - trade[0])))
        assert clocked.take_rows().tobytes() == rows.tobytes()

    check()


def test_the_clock_closes_at_the_end_of_the_slot_and_not_before() -> None:
    state = state_of([print_at(0)])
    state.on_trade(*print_at(0))
    assert state.advance_clock(OPEN + MINUTE - 1) == 0
    assert state.advance_clock(OPEN + MINUTE) == CLOSE
    assert state.open_bar is None
    assert state.newest["bar"]["t_close"] == OPEN + MINUTE


def test_a_late_trade_opens_the_next_slot_once_the_clock_has_closed_its_own() -> None:
    trades = [print_at(5), print_at(20), print_at(130)]
    state = state_of(trades)
    state.on_trade(*trades[0])
    state.advance_clock(OPEN + MINUTE)
    state.on_trade(*trades[1])
    assert state.open_bar["t_open"] == OPEN + MINUTE
    state.on_trade(*trades[2])
    assert state.take_rows()["bar"]["t_open"].tolist() == [OPEN, OPEN + MINUTE]


def test_a_late_trade_of_the_last_slot_stays_in_its_session() -> None:
    end = SID.of(OPEN).t_end
    trades = [(end - 5 * SECOND, 16_000, 1, 1), (end - 3 * SECOND, 16_000, 1, 1)]
    state = state_of(trades)
    state.on_trade(*trades[0])
    state.advance_clock(end)
    state.on_trade(*trades[1])
    state.advance_clock(end)
    rows = state.take_rows()
    assert rows["bar"]["t_close"].tolist() == [end, end]
    assert rows["phase"].tolist() == [Phase.after_hours] * 2


@pytest.mark.parametrize("primary", ["tick:2", "volume:2", "reversal:1", "range:1"])
def test_a_late_trade_closes_no_bar_before_the_one_that_went_before(primary: str) -> None:
    seconds = (10, 20, 5, 6, 3, 30)
    trades = [print_at(s, 16_000 + 3 * (k % 2)) for k, s in enumerate(seconds)]
    state = state_of(trades, primary=primary)
    closes = run(state, trades)["bar"]["t_close"]
    assert len(closes) > 2
    assert (np.diff(closes) >= 0).all()


@pytest.mark.parametrize("primary", ["tick:3", "volume:3", "reversal:4", "range:2"])
def test_a_trade_of_an_earlier_session_is_no_part_of_the_bar(primary: str) -> None:
    before = (OPEN - 86_400 * SECOND, 15_000, 9, 1)
    trades = [print_at(k, 16_000 + k % 2) for k in range(5)]
    plain, disturbed = state_of(trades, primary=primary), state_of([before], primary=primary)
    disturbed = state_for([before[0], OPEN], primary=primary)
    rows = run(plain, trades)
    mixed = [trades[0], before, trades[1], before, *trades[2:]]
    assert run(disturbed, mixed).tobytes() == rows.tobytes()
    assert disturbed.rejected == 2


def test_a_new_contract_forgets_levels_and_options_of_the_old_one() -> None:
    trades = [
        (OPEN + shift + 20 * SECOND * k, 16_000 + k % 3, 1, 1)
        for shift in (0, SID.of(OPEN).t_end - OPEN)
        for k in range(400)
    ]
    options = np.zeros(1, records.OPTIONS_DTYPE)
    options["gamma_flip"], options["quality"] = 16_010.0, 1.0
    for contract, kept in ((1, 1), (2, 0)):
        state = state_of(trades)
        state.set_contract(1)
        state.set_options(options)
        state.wake = 0
        columns = trade_columns(trades)
        state.advance(*(column[:400] for column in columns))
        state.set_contract(contract)
        state.advance(*columns, 400)
        row = state.take_rows()[-1]
        assert row["previous_valid"] == kept
        assert row["options_quality"] == float(kept)
        assert (row["gamma_flip"] == 16_010.0) == bool(kept)
        assert row["previous_poc"] == (16_000 if kept else 0)


def test_a_frame_that_is_open_at_the_end_of_a_session_enters_its_reference() -> None:
    # The first session ends inside the hour from 16:00, the second with it: all that the second
    # knows of this phase is the volume of the hour that the first left open.
    day = SID.of(OPEN).t_end - SID.of(OPEN).t_open
    trades = [
        (OPEN + day * d + 5 * MINUTE * k, 16_000 + abs(k % 24 - 12), 900 - 800 * d, 1)
        for d, n in ((0, 84), (1, 91))
        for k in range(n)
    ]
    params = {"stats.vol_ref_min": 1, "stream.primary": "time:300"}
    twin = ReferenceEngine(params)
    state = state_of(trades, params=params, primary="time:300")
    for trade in trades:
        twin.on_trade(*trade)
    run(state, trades)
    hour = state.timeframes.fourth.state
    assert (hour["score"], hour["confidence"]) == pytest.approx(twin._frames[-1].last(), rel=1e-9)


def test_a_day_of_thousands_of_ticks_keeps_its_volume_nodes() -> None:
    prices = [16_000 + k % 2 + 30 * (k % 3) for k in range(60)]
    prices[30] = 19_000
    trades = [print_at(60 * k, price, 50) for k, price in enumerate(prices)]
    state = state_of(trades)
    run(state, trades)
    found, profile = state.confluence.level_array(), state.levels.rth_profile
    nodes = found["price"][found["kind"] == LEVEL_KINDS.index("hvn")]
    near = [node for node in profile.hvn if node < 17_000 and abs(node - profile.poc) > 3]
    assert nodes.tolist() == near != []


def test_what_the_book_did_before_the_first_trade_belongs_to_its_session() -> None:
    session = SID.of(OPEN)
    trades = [(session.t_open + 90 * SECOND, 16_000, 1, 1), (OPEN, 16_000, 1, 1)]
    state = state_of(trades)
    sizes = np.array([30], np.int64), np.array([10], np.int64)
    state.on_book(session.t_open - SECOND, sizes[1], sizes[0], 9)
    state.on_book(session.t_open + SECOND, *sizes, 1)
    run(state, trades)
    assert state.newest["valid"][5] == 1
    assert state.newest["feature"][5] == pytest.approx(0.5 * 20 / 100)
    assert state.newest["spread"] == 1
