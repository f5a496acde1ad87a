"""`MarketState` by itself: events, buffers and what it refuses."""

from collections.abc import Iterator
from threading import Thread

import numpy as np
import pytest
import strategies_market as market
from compiled_engine import bar_records, session_rows, trade_columns
from fast.states import OPEN, Trades, print_at, run, state_for, state_of, two_sessions
from reference.conventions import MINUTE, SECOND

from mia._fast import market_state, records
from mia._fast.market_state import CLOSE, PENDING, ROWS, SESSION, SETUP
from mia.core.kernel_params import kernel_params


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
