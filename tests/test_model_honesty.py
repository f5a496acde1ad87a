"""The planted drift is of the stated size, follows flow, and never precedes it."""

from dataclasses import replace

import numpy as np
import pytest

from mia.cli.model_honesty import FLOW_MINUTES, MINUTE_NS, planted
from mia.core.base_types import TradeBlock
from mia.data.tape import Tape, synthetic_tape


@pytest.fixture(scope="module")
def tape() -> Tape:
    return synthetic_tape(3, 20200106, 2, 4000, null=True)


def shifts(tape: Tape, edge: float) -> list[np.ndarray]:
    pairs = zip(tape.blocks(), planted(tape, edge).blocks(), strict=True)
    return [moved.price - block.price for block, moved in pairs]


def test_quotes_move_with_prices_and_nothing_else_moves(tape) -> None:
    for block, moved in zip(tape.blocks(), planted(tape, 40.0).blocks(), strict=True):
        shift = moved.price - block.price
        assert np.array_equal(moved.bid_price - block.bid_price, shift)
        assert np.array_equal(moved.ask_price - block.ask_price, shift)
        assert np.array_equal(moved.size, block.size)
        assert np.array_equal(moved.ts_event, block.ts_event)
    assert planted(tape, 40.0).sha256 != tape.sha256


def test_one_sided_flow_drifts_by_the_stated_ticks_in_twenty_minutes() -> None:
    minutes = np.arange(101, dtype=np.int64)
    ones = np.ones(101, dtype=np.int32)
    block = TradeBlock(
        "ESH20",
        minutes * MINUTE_NS,
        20_000 * ones,
        ones,
        np.ones(101, dtype=np.int8),
        20_000 * ones,
        20_001 * ones,
    )
    tape = replace(synthetic_tape(3, 20200106, 1, 4000), blocks=lambda: iter([block]))
    (moved,) = planted(tape, 40.0).blocks()
    shift = moved.price - block.price
    # Nothing is known in the first minute; from the second on it rises by 2 ticks a minute.
    assert shift[0] == 0
    assert shift[40 + FLOW_MINUTES] - shift[40] == 40
    (turned,) = planted(replace(tape, blocks=lambda: iter([_sold(block)])), 40.0).blocks()
    assert np.array_equal(turned.price - block.price, -shift)


def _sold(block: TradeBlock) -> TradeBlock:
    return replace(block, aggressor_side=-block.aggressor_side)


def test_a_later_trade_changes_no_earlier_price(tape) -> None:
    (block, *_) = list(tape.blocks())
    changed = replace(block, aggressor_side=block.aggressor_side.copy())
    half = len(block) // 2
    changed.aggressor_side[half:] *= -1
    before, after = (
        next(iter(planted(replace(tape, blocks=lambda b=b: iter([b])), 40.0).blocks())).price
        for b in (block, changed)
    )
    minute = (block.ts_event - block.ts_event[0]) // MINUTE_NS
    same = minute <= minute[half]
    assert np.array_equal(before[same], after[same])
    assert not np.array_equal(before, after)


def test_no_drift_changes_no_price(tape) -> None:
    assert not any(shift.any() for shift in shifts(tape, 0.0))
    assert any(shift.any() for shift in shifts(tape, 40.0))
