import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest

from mia.core.base_types import TradeBlock
from mia.data.synthetic import PatternPlan, SyntheticMarket
from mia.data.synthetic.clock import SECOND_NS
from mia.errors import UsageError

FROZEN = ["a49a4f9713c6f632", "6026e03f86fbb133"]
"""What 20,000 trades a day from seed 7 hash to; a change of the generator changes it."""

COLUMNS = ("ts_event", "price", "size", "aggressor_side", "bid_price", "ask_price")


def digest(block):
    sha = hashlib.sha256()
    for name in COLUMNS:
        sha.update(np.ascontiguousarray(getattr(block, name)).tobytes())
    return sha.hexdigest()


def small(seed=1, days=2, **options):
    return SyntheticMarket(seed, 20240506, days, trades_per_day=20_000, **options)


PROGRAM = """
from test_market import digest, small
print(*[digest(block) for block in small(7).blocks()])
"""


def test_another_process_with_another_hash_seed_makes_the_same_bytes():
    here = [digest(block) for block in small(7).blocks()]
    for hash_seed in ("0", "12345"):
        environment = os.environ | {
            "PYTHONHASHSEED": hash_seed,
            "PYTHONPATH": os.pathsep.join([os.path.dirname(__file__), *sys.path]),
        }
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env=environment, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert done.stdout.split() == here


def test_the_bytes_are_those_of_every_platform():
    assert [digest(block)[:16] for block in small(7).blocks()] == FROZEN


def test_seeds_and_sessions_differ():
    blocks = [block for seed in (1, 2) for block in small(seed).blocks()]
    assert len({digest(block) for block in blocks}) == 4


def test_a_longer_market_begins_with_the_same_sessions():
    short = [digest(block) for block in small(3, 2).blocks()]
    long = [digest(block) for block in small(3, 4).blocks()]
    assert long[:2] == short


def test_sessions_can_be_taken_in_any_order():
    market = small(4, 3)
    backwards = [digest(market.tape(k).block) for k in (2, 1, 0)]
    assert backwards[::-1] == [digest(block) for block in small(4, 3).blocks()]


def test_blocks_hold_what_they_promise():
    market = small(5, 3, planted=PatternPlan(1.0))
    for session, block in zip(market.sessions(), market.blocks(), strict=True):
        assert isinstance(block, TradeBlock)
        assert block.kind == "summary"
        assert block.contract == session.contract
        assert [getattr(block, name).dtype.name for name in COLUMNS] == [
            "int64", "int32", "int32", "int8", "int32", "int32",
        ]  # fmt: skip
        assert {len(getattr(block, name)) for name in COLUMNS} == {len(block)}
        assert (np.diff(block.ts_event) >= 0).all()
        assert session.t_open <= block.ts_event[0]
        assert block.ts_event[-1] < session.t_close
        assert block.size.min() >= 1
        assert (block.ask_price > block.bid_price).all()
        assert set(np.unique(block.aggressor_side)) == {-1, 1}
        at = np.where(block.aggressor_side > 0, block.ask_price, block.bid_price)
        assert (block.price == at).all()


def test_a_half_day_ends_early_and_a_holiday_is_left_out():
    market = SyntheticMarket(1, 20241223, 3, trades_per_day=5_000)
    assert [s.session_id for s in market.sessions()] == [20241223, 20241224, 20241226]
    eve = list(market.blocks())[1]
    assert eve.ts_event[-1] < market.sessions()[1].t_close
    assert market.sessions()[1].seconds == 19 * 3600 + 900


def test_the_roll_changes_the_contract_and_lifts_the_price():
    market = SyntheticMarket(1, 20240308, 2, trades_per_day=5_000, steady=True)
    before, after = market.blocks()
    assert (before.contract, after.contract) == ("ESH24", "ESM24")
    same = SyntheticMarket(1, 20240301, 2, trades_per_day=5_000, steady=True)
    a, b = same.blocks()
    lift = (int(after.price[0]) - int(before.price[-1])) - (int(b.price[0]) - int(a.price[-1]))
    assert 50 <= lift <= 70


def test_fewer_trades_a_day_leave_the_range_of_a_day_alone():
    def median_range(trades):
        market = SyntheticMarket(3, 20240506, 12, trades_per_day=trades, steady=True, null=True)
        return np.median([np.ptp(block.price) for block in market.blocks()])

    assert 0.6 < median_range(8_000) / median_range(80_000) < 1.7


def test_fills_add_up_to_the_trades_they_belong_to():
    market = small(6)
    for block in market.blocks():
        fills, trade = market.fills(block)
        assert fills.kind == "fill"
        assert (np.bincount(trade, fills.size).astype(np.int64) == block.size).all()
        for name in ("ts_event", "price", "aggressor_side", "bid_price", "ask_price"):
            assert (getattr(fills, name) == getattr(block, name)[trade]).all()
        assert (np.diff(trade) >= 0).all()
        assert 2.5 < len(fills) / len(block) < 3.3


def test_fills_of_a_foreign_block_are_refused():
    (block,) = SyntheticMarket(1, 20230102, 1, trades_per_day=1_000).blocks()
    with pytest.raises(UsageError, match="not of this market"):
        small().fills(block)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": -1}, "seed must not be negative, was -1"),
        ({"trades_per_day": 10}, "trades_per_day must be 100 to 5000000, was 10"),
        ({"first_price": 0}, "first_price must be 1000 to 400000 ticks, was 0"),
    ],
)
def test_arguments_out_of_range_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        SyntheticMarket(**({"seed": 1, "start": 20240506, "days": 1} | options))


def test_the_first_trade_is_near_the_first_price():
    block = next(small(8, 1, first_price=20_000, steady=True).blocks())
    assert abs(int(block.price[0]) - 20_000) < 20


def test_the_efficient_price_of_a_null_market_ignores_the_past():
    """Returns over the next minute against five things that a trader could know."""
    known, future = [], []
    for tape in SyntheticMarket(9, 20240506, 20, trades_per_day=40_000, null=True).tapes():
        second = (tape.block.ts_event - tape.session.t_open) // SECOND_NS
        at = np.searchsorted(second, np.arange(60, tape.session.seconds, 60)) - 1
        x = tape.latent[np.maximum(at, 0)]
        flow = np.cumsum(tape.block.size * tape.block.aggressor_side.astype(np.int64))[at]
        volume = np.cumsum(tape.block.size.astype(np.int64))[at]
        ret, delta, traded = np.diff(x), np.diff(flow), np.diff(volume)
        average = np.lib.stride_tricks.sliding_window_view(x, 20).mean(axis=1)
        above = x[20:-1] - average[1:-1]
        past = np.array(
            [
                np.sign(ret[19:-1]),
                np.sign(delta[19:-1]),
                np.sign(delta[19:-1]) * (traded[19:-1] > np.median(traded)),
                np.sign(x[20:-1] - x[:-21]),
                np.sign(above),
            ]
        )
        known.append(past)
        future.append(ret[20:] / np.sqrt((ret**2).mean()))
    past, then = np.concatenate(known, axis=1), np.concatenate(future)
    z = past @ then / np.sqrt((past**2 * then**2).sum(axis=1))
    assert np.abs(z).max() < 4.0


def test_following_the_last_minute_of_a_null_market_loses_the_spread():
    profit = []
    for block in SyntheticMarket(10, 20240506, 10, trades_per_day=40_000, null=True).blocks():
        minute = block.ts_event // (60 * SECOND_NS)
        last = np.flatnonzero(np.diff(minute) > 0)
        way = np.sign(np.diff(block.price[last]))[:-1]
        enter = np.where(way > 0, block.ask_price[last[1:-1]], block.bid_price[last[1:-1]])
        leave = np.where(way > 0, block.bid_price[last[2:]], block.ask_price[last[2:]])
        profit.append((way * (leave - enter))[way != 0])
    every = np.concatenate(profit)
    error = every.std() / np.sqrt(len(every))
    assert every.mean() < -0.5
    assert every.mean() + 4 * error < 0.2
