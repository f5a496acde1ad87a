"""Store, history and live feed join without a trade lost or doubled."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wire_samples import COLUMNS, joined

from mia.core import sessions
from mia.core.base_types import TradeBlock
from mia.data.history_stitch import Hole, LiveBuffer, cut, stitch, trading_spans
from mia.data.tape import synthetic_tape
from mia.data.wire_tape import wire_blocks
from mia.errors import DataError

SECOND = 1_000_000_000
TAPE = synthetic_tape(3, 20250311, 1, 12_000)
RAW = list(TAPE.blocks())
WIRE = joined(list(wire_blocks(RAW)))
FIRST, LAST = int(WIRE["ts_event"][0]), int(WIRE["ts_event"][-1])
OPEN = sessions.session_open(20250311)


def on_the_wire(start: int, end: int) -> list[TradeBlock]:
    """Give trades as a source of history does: whole seconds, with the quote of each."""
    floored = (replace(b, ts_event=b.ts_event // SECOND * SECOND) for b in RAW)
    return [part for b in floored if len(part := cut(b, start, end))]


def live_from(ts: int, until: int = 2**62) -> LiveBuffer:
    live = LiveBuffer()
    live.subscribed(ts)
    for block in RAW:
        part = cut(block, ts, until)
        live.add(replace(part, ts_event=part.ts_event // SECOND * SECOND))
    return live


def stored_until(ts: int) -> list[TradeBlock]:
    return [part for b in RAW if len(part := cut(b, 0, ts))]


def same(found: list[TradeBlock], until: int = 2**62) -> None:
    have = joined(found)
    inside = WIRE["ts_event"] < until
    for name in COLUMNS:
        wanted = WIRE[name][inside]
        assert len(have[name]) == len(wanted)
        assert (have[name] == wanted).all(), name


@settings(max_examples=25)
@given(st.floats(0.02, 0.9), st.floats(0.0, 0.08))
def test_cut_anywhere_nothing_is_lost_or_doubled(died: float, away: float) -> None:
    death = FIRST + int(died * (LAST - FIRST))
    back = death + int(away * (LAST - FIRST))
    done = stitch(stored_until(death), on_the_wire, live_from(back), OPEN)
    assert done.holes == []
    same(done.blocks)


def test_a_back_that_comes_in_the_second_of_the_death_joins_too() -> None:
    at = int(np.median(RAW[0].ts_event))
    done = stitch(stored_until(at), on_the_wire, live_from(at), OPEN)
    assert done.holes == []
    same(done.blocks)


def test_without_a_store_history_tells_all() -> None:
    done = stitch([], on_the_wire, live_from(FIRST + (LAST - FIRST) // 2), OPEN)
    assert done.holes == []
    same(done.blocks)


def test_the_overlap_is_compared() -> None:
    middle = FIRST + (LAST - FIRST) // 2
    assert stitch([], on_the_wire, live_from(middle), OPEN).compared > 0

    def lying(start: int, end: int) -> list[TradeBlock]:
        return [replace(b, price=b.price + (b.ts_event >= middle)) for b in on_the_wire(start, end)]

    done = stitch(stored_until(middle - 100 * SECOND), lying, live_from(middle), OPEN)
    assert "history and live feed differ" in done.notes[0]
    assert done.holes[0].until == middle // SECOND * SECOND + SECOND


def test_what_came_live_after_history_was_asked_is_not_missed_in_it() -> None:
    middle = FIRST + (LAST - FIRST) // 2
    asked_at = middle + 20 * SECOND

    def as_asked(start: int, end: int) -> list[TradeBlock]:
        return on_the_wire(start, min(end, asked_at))

    live = live_from(middle)
    assert any(b.ts_event[-1] > asked_at for b in live.blocks())
    late = stitch(stored_until(middle - 100 * SECOND), as_asked, live, OPEN)
    assert late.holes, "without the time of the question the answer looks wrong"
    live.asked_at = asked_at
    done = stitch(stored_until(middle - 100 * SECOND), as_asked, live, OPEN)
    assert done.holes == []
    assert done.compared > 0
    same(done.blocks)


def test_history_out_of_order_is_not_believed() -> None:
    middle = FIRST + (LAST - FIRST) // 2

    def backwards(start: int, end: int) -> list[TradeBlock]:
        return on_the_wire(start, end)[::-1] + on_the_wire(start, end)

    done = stitch(stored_until(middle - 900 * SECOND), backwards, live_from(middle), OPEN)
    assert "not in order" in done.notes[0]


@pytest.mark.parametrize("fails", [False, True], ids=["no source", "source fails"])
def test_what_nobody_knows_is_a_hole(fails: bool) -> None:
    death, back = FIRST + (LAST - FIRST) // 3, FIRST + (LAST - FIRST) // 2

    def failing(start: int, end: int) -> list[TradeBlock]:
        raise DataError("pacing violation")

    stored = stored_until(death)
    newest = int(stored[-1].ts_event[-1])
    done = stitch(stored, failing if fails else None, live_from(back), OPEN, 3600 * SECOND)
    first = newest // SECOND * SECOND
    assert done.holes == [Hole(first - 1, back // SECOND * SECOND + SECOND)]
    assert done.notes == ["pacing violation" if fails else "no source of history"]
    times = joined(done.blocks)["ts_event"]
    assert not ((times >= first) & (times < done.holes[0].until)).any()


def test_a_silence_of_the_store_is_asked_about() -> None:
    a, b = FIRST + (LAST - FIRST) // 4, FIRST + (LAST - FIRST) // 3
    middle = FIRST + (LAST - FIRST) // 2
    torn = [p for blk in RAW for p in (cut(blk, 0, a), cut(blk, b, middle)) if len(p)]
    done = stitch(torn, on_the_wire, live_from(middle), OPEN)
    same(done.blocks)
    assert done.holes == []
    blind = stitch(torn, None, live_from(middle), OPEN, 3600 * SECOND)
    assert len(blind.holes) == 2
    assert blind.holes[0].since <= a
    assert b <= blind.holes[0].until + SECOND


def test_the_daily_break_is_no_hole() -> None:
    spans = list(trading_spans(OPEN - 3 * 3600 * SECOND, OPEN + 3600 * SECOND))
    assert [end - start for start, end in spans] == [2 * 3600 * SECOND, 3600 * SECOND]


def test_the_first_second_of_a_feed_is_incomplete() -> None:
    live = LiveBuffer()
    with pytest.raises(ValueError, match="has not begun"):
        stitch([], None, live, OPEN)
    part = cut(RAW[0], 0, FIRST + 3000 * SECOND)
    live.add(replace(part, ts_event=part.ts_event // SECOND * SECOND))
    assert live.since == FIRST + SECOND
    assert all((block.ts_event >= live.since).all() for block in live.blocks())


def test_a_store_out_of_order_is_refused() -> None:
    parts = [cut(RAW[0], 0, FIRST + 9000 * SECOND), cut(RAW[0], 0, FIRST + 5000 * SECOND)]
    with pytest.raises(DataError, match="not in time order"):
        stitch(parts, None, live_from(LAST), OPEN)
