"""`MarketState` by itself: batches, events, buffers and what it refuses."""

import itertools
from collections.abc import Iterator, Sequence
from threading import Thread
from typing import Any

import numpy as np
import pytest
import strategies_market as market
from compiled_engine import bar_records, session_rows, split_params, trade_columns
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from reference.conventions import MINUTE, SECOND, Sessions
from reference.engine import ReferenceEngine

from mia._fast import market_state, records
from mia._fast.levels import LEVEL_KINDS
from mia._fast.market_state import CLOSE, PENDING, ROWS, SESSION, SETUP
from mia.core.base_types import Phase
from mia.core.kernel_params import kernel_params

SID = Sessions()
OPEN = SID.of(1_709_649_000 * SECOND).t_rth_open
STREAMS = st.sampled_from(("time:60", "time:15", "reversal:4", "tick:9", "volume:90", "range:6"))
MASKS = st.sampled_from((0, CLOSE, SETUP, SESSION, CLOSE | SESSION))
EXAMPLES = pytest.mark.parametrize("examples", [25, pytest.param(400, marks=pytest.mark.slow)])
TICKS = ("ts_event", "price", "size", "aggressor_side")
Trades = Sequence[market.Trade]


def state_for(ts: Sequence[int], **options: Any) -> market_state.MarketState:
    params, _ = split_params(options.pop("params", {}))
    state = market_state.MarketState(params, session_rows(ts), **options)
    state.record = True
    return state


def state_of(trades: Trades, **options: Any) -> market_state.MarketState:
    return state_for([trade[0] for trade in trades], **options)


def print_at(seconds: float, price: int = 16_000, size: int = 1, side: int = 1) -> market.Trade:
    """Return a trade some seconds after 09:30."""
    return OPEN + round(seconds * SECOND), price, size, side


def run(state: market_state.MarketState, trades: Trades) -> NDArray[np.void]:
    """Apply all trades, whatever wakes, and return the rows."""
    columns = trade_columns(trades)
    done, taken = 0, [state.take_rows()]
    while done < len(trades):
        done = state.advance(*columns, done)
        taken.append(state.take_rows())
    return np.concatenate(taken)


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


def two_sessions() -> list[market.Trade]:
    """Make trades of three minutes in each of two sessions."""
    day = SID.of(OPEN).t_end - OPEN
    return [
        (OPEN + shift + 20 * SECOND * k, 16_000 + k % 3, 1, 1)
        for shift in (0, day)
        for k in range(9)
    ]


def stops(state: market_state.MarketState, trades: Trades) -> list[tuple[int, int]]:
    columns = trade_columns(trades)
    found, done = [], 0
    while done < len(trades):
        done = state.advance(*columns, done)
        found.append((done, state.events))
    return found


def test_a_batch_stops_before_the_trade_that_closed_the_bar() -> None:
    trades = two_sessions()
    found = stops(state_of(trades), trades)
    assert found == [
        (3, SESSION | CLOSE),
        (6, CLOSE),
        (9, CLOSE),
        (12, SESSION | CLOSE),
        (15, CLOSE),
        (18, 0),
    ]


def test_a_batch_stops_before_the_first_trade_of_a_session() -> None:
    trades = two_sessions()
    state = state_of(trades)
    state.wake = SESSION
    assert stops(state, trades) == [(0, SESSION), (9, CLOSE | SESSION), (18, CLOSE)]


def test_without_a_mask_a_batch_runs_through_and_counts_its_closes() -> None:
    trades = two_sessions()
    state = state_of(trades)
    state.wake = 0
    assert stops(state, trades) == [(18, CLOSE | SESSION)]
    assert sum(state.reasons) == len(state.take_rows()) == 5


def test_a_setup_wakes_and_its_row_has_one() -> None:
    trades = [(ts, price, size, side) for ts, price, size, side in trending() if size > 0]
    params = {"reg.weak": 0.3, "reg.weak_counts": 1, "trend.leg_bars": 15, "reg.slope_weak": 0.0}
    state = state_of(trades, params=params, primary="time:15")
    state.wake = SETUP
    columns, done, woken = trade_columns(trades), 0, 0
    while done < len(trades):
        done = state.advance(*columns, done)
        if state.events & SETUP:
            woken += 1
            assert state.newest["reason"] == 0
            assert state.newest["n_setups"] > 0
    assert woken == state.reasons[0] > 0


def trending() -> Iterator[market.Trade]:
    """Drift up in waves, a trade every three seconds."""
    for k in range(900):
        wave = abs(k % 60 - 30)
        yield print_at(3.0 * k, 16_000 + k // 6 - wave // 2, 1 + k % 3, 1 if k % 60 > 30 else -1)


def test_a_full_buffer_stops_a_batch_until_the_rows_are_taken() -> None:
    trades = two_sessions()
    state = state_of(trades, rows=2)
    state.wake = 0
    columns = trade_columns(trades)
    done = state.advance(*columns)
    assert (done, state.events) == (6, SESSION | CLOSE | ROWS)
    for call in (
        lambda: state.advance(*columns, done),
        lambda: state.on_trade(*trades[6]),
        lambda: state.advance_clock(OPEN + 10 * MINUTE),
    ):
        with pytest.raises(RuntimeError, match="buffer of rows is full"):
            call()
    first = state.take_rows()
    assert len(first) == 2
    rest = run(state, trades[done:])
    assert np.concatenate([first, rest]).tobytes() == run(state_of(trades), trades).tobytes()


def test_a_trade_that_waits_for_a_full_buffer_is_not_lost() -> None:
    trades = two_sessions()
    state = state_of(trades, rows=1)
    events = [state.on_trade(*trade) for trade in trades[:4]]
    assert events[3] == CLOSE | ROWS | PENDING
    with pytest.raises(RuntimeError, match="full"):
        state.resume()
    state.take_rows()
    assert state.resume() == 0
    assert state.accepted == 4


def test_rows_are_kept_only_while_they_are_recorded() -> None:
    trades = two_sessions()
    state = state_of(trades, rows=2)
    state.record = False
    state.wake = 0
    assert state.row is None
    assert state.newest is None
    state.advance(*trade_columns(trades))
    assert len(state.take_rows()) == 0
    assert state.newest["bar"]["t_open"] == trades[-4][0] - trades[-4][0] % MINUTE
    assert state.row["bar"]["t_open"] == state.newest["bar"]["t_open"]
    with pytest.raises(ValueError, match="read-only"):
        state.row["atr"] = 0.0


def test_taken_rows_are_a_copy() -> None:
    trades = two_sessions()
    state = state_of(trades)
    state.advance(*trade_columns(trades))
    taken = state.take_rows()
    before = taken.tobytes()
    taken["atr"] += 1.0
    assert state.row.tobytes() == before
    assert len(state.take_rows()) == 0


def test_a_trade_that_waits_holds_everything_else_up() -> None:
    trades = two_sessions()
    state = state_of(trades)
    for trade in trades[:3]:
        state.on_trade(*trade)
    assert state.on_trade(*trades[3]) == CLOSE | PENDING
    assert state.accepted == 3
    with pytest.raises(RuntimeError, match=r"call resume\(\) first"):
        state.on_trade(*trades[4])
    with pytest.raises(RuntimeError, match=r"call resume\(\) first"):
        state.advance(*trade_columns(trades), 4)
    with pytest.raises(RuntimeError, match=r"call resume\(\) first"):
        state.advance_clock(OPEN)
    assert state.resume() == 0
    assert state.accepted == 4


def test_a_second_thread_is_refused() -> None:
    n = 3_000_000
    ts = OPEN + np.arange(n, dtype=np.int64) * 1000
    columns = (ts, np.full(n, 16_000, np.int32), np.ones(n, np.int32), np.ones(n, np.int8))
    state = state_for([OPEN])
    state.wake = 0
    thread = Thread(target=state.advance, args=columns)
    thread.start()
    refused = False
    while thread.is_alive() and not refused:
        try:
            state.advance_clock(OPEN)
        except RuntimeError as error:
            refused = "another thread" in str(error)
    thread.join()
    assert refused
    assert state.accepted == n


def test_the_contract_changes_between_sessions_only() -> None:
    trades = two_sessions()
    state = state_of(trades)
    state.set_contract(3)
    state.wake = 0
    columns = trade_columns(trades)
    assert state.advance(*(column[:5] for column in columns)) == 5
    state.set_contract(4)
    with pytest.raises(ValueError, match="only between sessions"):
        state.on_trade(*trades[5])
    with pytest.raises(ValueError, match="only between sessions"):
        state.advance(*columns, 5)
    state.set_contract(3)
    assert state.advance(*(column[:9] for column in columns), 5) == 9
    state.set_contract(4)
    assert state.advance(*columns, 9) == 18
    assert state.take_rows()["contract"].tolist() == [3, 3, 3, 4, 4]


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


@pytest.mark.parametrize("seconds", [-7 * 86_400, 7 * 86_400])
def test_data_outside_the_session_table_are_refused(seconds: int) -> None:
    state = state_for([OPEN])
    outside = print_at(seconds)
    with pytest.raises(ValueError, match="outside the session table"):
        state.on_trade(*outside)
    with pytest.raises(ValueError, match="outside the session table"):
        state.advance(*trade_columns([outside]))
    bars = state_for([OPEN], ready_made=True)
    with pytest.raises(ValueError, match="outside the session table"):
        bars.advance_bars(bar_records([a_bar(seconds)]))


def a_bar(seconds: int) -> market.Bar:
    start = OPEN + seconds * SECOND
    return start, start + MINUTE, 16_000, 16_002, 15_999, 16_001, 500, 200, 300


def test_bars_stop_where_trades_do() -> None:
    state = state_for([OPEN], ready_made=True)
    bars = bar_records([a_bar(60 * k) for k in range(4)])
    assert state.advance_bars(bars) == 1
    state.wake = 0
    assert state.advance_bars(bars, 1) == 4
    early = bar_records([a_bar(-86_400)])
    assert state.advance_bars(early) == 1
    assert (state.accepted, state.rejected, len(state.take_rows())) == (4, 1, 4)


def test_bars_and_trades_have_a_state_each() -> None:
    with pytest.raises(ValueError, match="takes trades"):
        state_for([OPEN]).advance_bars(bar_records([a_bar(0)]))
    bars = state_for([OPEN], ready_made=True)
    with pytest.raises(ValueError, match="takes ready-made bars"):
        bars.on_trade(*print_at(0))
    with pytest.raises(ValueError, match="takes ready-made bars"):
        bars.advance(*trade_columns([print_at(0)]))


def test_arguments_are_checked() -> None:
    table = session_rows([OPEN, OPEN + 5 * 86_400 * SECOND])
    with pytest.raises(ValueError, match="primary time bar, was 'tick:9'"):
        market_state.MarketState(kernel_params(), table, primary="tick:9", ready_made=True)
    with pytest.raises(ValueError, match="hole before"):
        market_state.MarketState(kernel_params(), table[[0, 2]])
    with pytest.raises(ValueError, match="rows must be at least 1, was 0"):
        market_state.MarketState(kernel_params(), table, rows=0)
    with pytest.raises(ValueError, match=r"ring must exceed feat\.f7_trades, 20, was 20"):
        market_state.MarketState(kernel_params(), table, ring=20)
    state = market_state.MarketState(kernel_params(), table)
    columns = trade_columns([print_at(0)])
    with pytest.raises(ValueError, match="differ in length"):
        state.advance(columns[0], columns[1], columns[2], columns[3][:0])
    with pytest.raises(ValueError, match=r"start must be in \[0, 1\], was 2"):
        state.advance(*columns, 2)
    with pytest.raises(ValueError, match="one record is needed, were 2"):
        state.set_options(np.zeros(2, records.OPTIONS_DTYPE))
    with pytest.raises(ValueError, match="same number of levels"):
        state.on_book(OPEN, np.ones(2, np.int64), np.ones(1, np.int64), 1)
