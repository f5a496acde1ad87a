"""After a restart every row is, byte by byte, that of a run without one."""

import random
from dataclasses import replace

import numpy as np
import pytest
from execution.test_cycle import EASED
from wire_samples import MAX_PRICE, StandingClock, wire_ticks

from mia.backtest import Backtest
from mia.config.settings import load_settings
from mia.core import sessions
from mia.core.base_types import MISSING_PRICE, Reason, TradeBlock
from mia.core.state_hash import state_hash
from mia.data.history_stitch import LiveBuffer, cut, stitch
from mia.data.live_ticks import TickGate
from mia.data.tape import synthetic_tape
from mia.data.wire_tape import as_wire, wire_blocks
from mia.execution.live.warm_up import WarmUp, newest_second, repair, warm_up
from mia.execution.simple_trader import SimpleTrader
from mia.performance.recorder import RunRecord

SECOND = 1_000_000_000
LOADED = load_settings(None, EASED, environ={})
TAPE = synthetic_tape(4, 20250310, 3, 20_000)
RAW = list(TAPE.blocks())
DAY = sessions.session_id(int(RAW[-1].ts_event[0]))
OPEN = sessions.session_open(DAY)
TODAY = [part for b in RAW if len(part := cut(b, OPEN, 2**62))]
EARLIER = [part for b in RAW if len(part := cut(b, 0, OPEN))]


def fresh() -> tuple[SimpleTrader, RunRecord]:
    record = RunRecord()
    return Backtest(LOADED, as_wire(TAPE)).make_trader(record, rows=True), record


def rows_of(trader: SimpleTrader, record: RunRecord) -> np.ndarray:
    return np.concatenate([*record.rows, trader.state.take_rows()])


@pytest.fixture(scope="module")
def uninterrupted() -> tuple[np.ndarray, RunRecord, str]:
    trader, record = fresh()
    for block in wire_blocks(RAW):
        trader.run(block)
    return rows_of(trader, record), record, state_hash(trader.state)


def history(start: int, end: int) -> list[TradeBlock]:
    floored = (replace(b, ts_event=b.ts_event // SECOND * SECOND) for b in TODAY)
    return [part for b in floored if len(part := cut(b, start, end))]


def restart(death: int, back: int, past, silence: int = 600 * SECOND):
    """Die at `death`, subscribe at `back`, warm up ten minutes later, and run to the end."""
    trader, record = fresh()
    gate = TickGate(StandingClock(2**62), lambda ts, good: None, RAW[-1].contract, MAX_PRICE)
    live, quote = LiveBuffer(), [MISSING_PRICE, MISSING_PRICE]
    live.subscribed(back)
    warmed: WarmUp | None = None
    for block in TODAY:
        for tick in wire_ticks(cut(block, back, 2**62), quote):
            if warmed is None and tick[1] > back + 600 * SECOND:
                if (seen := gate.take()) is not None:
                    live.add(seen)
                stored = [p for b in TODAY if len(p := cut(b, 0, death))]
                stitched = stitch(stored, past, live, OPEN, silence)
                warmed = warm_up(trader, stitched, gate, wire_blocks(EARLIER))
            word, *values = tick
            (gate.on_quote if word == "quote" else gate.on_trade)(*values)
            if (part := gate.take()) is not None:
                if warmed is None:
                    live.add(part)
                else:
                    trader.run(part)
    assert warmed is not None
    return trader, record, warmed


@pytest.mark.parametrize("seed", range(4))
def test_rows_after_a_restart_are_those_of_a_run_without_one(uninterrupted, seed: int) -> None:
    wanted, _, fingerprint = uninterrupted
    r = random.Random(seed)
    death = OPEN + r.randrange(1, 70_000) * SECOND + r.randrange(SECOND)
    back = death + r.randrange(1, 5_000) * SECOND + r.randrange(SECOND)
    trader, record, warmed = restart(death, back, history)
    assert rows_of(trader, record).tobytes() == wanted.tobytes()
    assert state_hash(trader.state) == fingerprint
    assert warmed.holes == 0
    assert not trader.state.has_gap


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("known", [True, False], ids=["history", "no history"])
def test_a_lost_connection_leaves_no_trace_where_history_knows(
    uninterrupted, seed: int, known: bool
) -> None:
    wanted, _, fingerprint = uninterrupted
    r = random.Random(100 + seed)
    lost = OPEN + r.randrange(40_000, 70_000) * SECOND + r.randrange(SECOND)
    back = lost + r.randrange(1, 2_000) * SECOND + r.randrange(SECOND)
    trader, record = fresh()
    seen = [part for b in RAW if len(part := cut(b, 0, lost))]
    for block in wire_blocks(seen):
        trader.run(block)
    live = LiveBuffer()
    live.subscribed(back)
    whole_wire = list(wire_blocks(RAW))
    later = back + 300 * SECOND
    for block in whole_wire:
        # The rest of the second in which the connection came back is not seen whole.
        live.add(cut(block, back // SECOND * SECOND, later // SECOND * SECOND))
    done = repair(trader, history if known else None, live)
    for block in whole_wire:
        if len(part := cut(block, later // SECOND * SECOND, 2**62)):
            trader.run(part)
    assert done.holes == (not known)
    assert trader.state.has_gap is not known
    rows = rows_of(trader, record)
    assert (rows.tobytes() == wanted.tobytes()) is known
    assert (state_hash(trader.state) == fingerprint) is known


def test_nothing_is_decided_or_sent_about_the_past(uninterrupted) -> None:
    _, whole, _ = uninterrupted
    back = OPEN + 60_000 * SECOND
    _trader, record, warmed = restart(back - 60 * SECOND, back, history)
    assert warmed.trades > 1000
    assert warmed.session_id == DAY
    assert whole.decisions[0].ts < back < whole.decisions[-1].ts
    assert all(decision.ts > back for decision in record.decisions)


def test_history_that_contradicts_what_was_seen_is_a_hole() -> None:
    trader, _ = fresh()
    lost = int(TODAY[0].ts_event[len(TODAY[0]) // 2])
    for block in wire_blocks([part for b in RAW if len(part := cut(b, 0, lost + 1))]):
        trader.run(block)
    live = LiveBuffer()
    live.subscribed(lost + 100 * SECOND)

    def other(start: int, end: int) -> list[TradeBlock]:
        return [replace(block, size=block.size + 1) for block in history(start, end)]

    assert len(newest_second(trader))
    assert repair(trader, other, live).holes == 1
    assert trader.state.has_gap


def test_a_hole_stops_entries_until_the_session_ends() -> None:
    death, back = OPEN + 50_000 * SECOND, OPEN + 53_000 * SECOND
    trader, record, warmed = restart(death, back, None, silence=36_000 * SECOND)
    assert warmed.holes == 1
    assert trader.state.has_gap
    rows = rows_of(trader, record)
    after = rows["bar"]["t_open"] >= back
    assert after.sum() > 100
    assert (rows["feature_quality"][after] < 0.70).all()
    assert all(d.reason is not Reason.OK for d in record.decisions if d.ts > back)


def test_the_fingerprint_tells_states_apart() -> None:
    traders = [fresh()[0] for _ in range(3)]
    blocks = list(wire_blocks(RAW[:1]))
    one, other, third = traders
    one.observe(blocks[0])
    for start in range(0, len(blocks[0]), 1000):
        ts = blocks[0].ts_event
        part = slice(start, start + 1000)
        assert len(ts[part])
        columns = {
            name: getattr(blocks[0], name)[part]
            for name in ("ts_event", "price", "size", "aggressor_side", "bid_price", "ask_price")
        }
        other.observe(TradeBlock(blocks[0].contract, **columns))
    assert state_hash(one.state) == state_hash(other.state)
    sizes = blocks[0].size.copy()
    sizes[-1] += 1
    third.observe(replace(blocks[0], size=sizes))
    assert state_hash(third.state) != state_hash(one.state)
