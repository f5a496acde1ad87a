import numpy as np
import pytest

from mia.data.synthetic import FaultPlan, SyntheticMarket, exact
from mia.data.synthetic.faults import RUN, FaultKind, inject, next_contract, raw_columns
from mia.errors import UsageError


@pytest.fixture(scope="module")
def block():
    return next(SyntheticMarket(1, 20240506, 1, trades_per_day=20_000).blocks())


def injected(block, kind, count=1, seed=1):
    pieces, truth = inject(block, FaultPlan({kind: count}), exact.generator(seed, 0, 0))
    assert set(truth["kind"].tolist()) == {int(kind)}
    return pieces, truth


def rows(truth):
    return np.concatenate([np.arange(r["first"], r["first"] + r["count"]) for r in truth])


def same(a, b):
    return np.array_equal(a, b, equal_nan=True)


def test_without_faults_the_columns_are_the_block_in_points(block):
    (raw,), truth = inject(block, FaultPlan(), exact.generator(1, 0, 0))
    assert len(truth) == 0
    assert same(raw.ts_event, block.ts_event)
    assert same(raw.price, block.price / 4)
    assert same(raw.bid_price, block.bid_price / 4)
    assert same(raw.size, block.size.astype(float))


def test_gaps_leave_out_the_rows_of_the_truth_and_no_other(block):
    (raw,), truth = injected(block, FaultKind.GAP, 3)
    kept = np.delete(np.arange(len(block)), rows(truth))
    assert len(rows(truth)) == 3 * RUN[FaultKind.GAP]
    assert same(raw.ts_event, block.ts_event[kept])


def test_duplicates_repeat_the_rows_of_the_truth(block):
    (raw,), truth = injected(block, FaultKind.DUPLICATE, 2)
    assert len(raw) == len(block) + len(rows(truth))
    first, count = truth[0]["first"], truth[0]["count"]
    assert same(raw.price[first : first + count], raw.price[first + count : first + 2 * count])
    assert same(raw.ts_event[first + count : first + 2 * count], block.ts_event[first:][:count])


def test_rows_out_of_order_arrive_late_and_none_is_lost(block):
    (raw,), truth = injected(block, FaultKind.OUT_OF_ORDER, 2)
    assert (np.diff(raw.ts_event) < 0).sum() == 2
    assert same(np.sort(raw.ts_event), block.ts_event)
    first, count = truth[0]["first"], truth[0]["count"]
    assert same(raw.ts_event[first + count : first + 2 * count], block.ts_event[first:][:count])


def test_missing_prices_are_where_the_truth_says(block):
    (raw,), truth = injected(block, FaultKind.NAN, 4)
    assert np.flatnonzero(np.isnan(raw.price)).tolist() == rows(truth).tolist()


def test_prices_off_the_grid_are_where_the_truth_says(block):
    (raw,), truth = injected(block, FaultKind.OFF_GRID, 4)
    assert np.flatnonzero(raw.price * 4 % 1 != 0).tolist() == rows(truth).tolist()


def test_crossed_quotes_are_where_the_truth_says(block):
    (raw,), truth = injected(block, FaultKind.CROSSED, 2)
    assert np.flatnonzero(raw.bid_price > raw.ask_price).tolist() == rows(truth).tolist()


def test_a_stalled_feed_gives_a_run_of_trades_one_time(block):
    (raw,), truth = injected(block, FaultKind.STALL)
    run = rows(truth)
    assert len(set(raw.ts_event[run].tolist())) == 1
    assert raw.ts_event[run[0]] == block.ts_event[run[-1]]
    assert (np.diff(raw.ts_event) >= 0).all()
    assert same(np.delete(raw.ts_event, run), np.delete(block.ts_event, run))


def test_scaled_prices_are_a_hundred_times_too_large(block):
    (raw,), truth = injected(block, FaultKind.SCALE, 2)
    run = rows(truth)
    assert same(raw.price[run], block.price[run] * 25.0)
    assert same(np.delete(raw.price, run), np.delete(block.price, run) / 4)


def test_a_roll_splits_the_session_between_two_contracts(block):
    pieces, truth = injected(block, FaultKind.ROLL)
    before, after = pieces
    assert (before.contract, after.contract) == ("ESM24", "ESU24")
    assert len(before) == truth[0]["first"]
    assert same(after.price, block.price[len(before) :] / 4 + 15.0)


def test_a_partial_record_has_lost_its_fields(block):
    (raw,), truth = injected(block, FaultKind.PARTIAL)
    assert rows(truth).tolist() == [len(block) - 1]
    assert np.isnan([raw.price[-1], raw.size[-1], raw.bid_price[-1]]).all()
    assert not np.isnan(raw.price[:-1]).any()


def test_every_kind_at_once_is_written_down_by_time(block):
    pieces, truth = inject(block, FaultPlan.each(2), exact.generator(2, 0, 0))
    kinds, counts = np.unique(truth["kind"], return_counts=True)
    once = {FaultKind.ROLL, FaultKind.PARTIAL}
    assert kinds.tolist() == list(FaultKind)
    assert counts.tolist() == [1 if kind in once else 2 for kind in FaultKind]
    assert (np.diff(truth["ts_event"]) >= 0).all()
    assert same(truth["ts_event"], block.ts_event[truth["first"]])
    change = 2 * RUN[FaultKind.DUPLICATE] - 2 * RUN[FaultKind.GAP]
    assert sum(map(len, pieces)) == len(block) + change


@pytest.mark.parametrize("seed", range(20))
def test_faults_never_touch_one_another(block, seed):
    _, truth = inject(block, FaultPlan.each(3), exact.generator(seed, 0, 0))
    body = truth[(truth["kind"] != FaultKind.ROLL) & (truth["kind"] != FaultKind.PARTIAL)]
    assert (body["first"][1:] > (body["first"] + body["count"])[:-1]).all()
    assert body["first"].min() > 0
    assert (body["first"] + body["count"]).max() < len(block)


def test_the_market_damages_raw_and_keeps_its_blocks_clean():
    damaged = SyntheticMarket(1, 20240506, 2, trades_per_day=20_000, faults=FaultPlan.each())
    clean = SyntheticMarket(1, 20240506, 2, trades_per_day=20_000)
    for a, b in zip(damaged.blocks(), clean.blocks(), strict=True):
        assert same(a.price, b.price)
    assert len(list(damaged.raw())) == 4
    truth = damaged.fault_truth
    list(damaged.raw())
    assert len(truth) == len(damaged.fault_truth) == 2 * len(FaultKind)
    assert [same(raw_columns(b).price, r.price) for b, r in
            zip(clean.blocks(), clean.raw(), strict=True)] == [True, True]  # fmt: skip


@pytest.mark.parametrize(
    ("contract", "following"), [("ESH24", "ESM24"), ("ESZ24", "ESH25"), ("MESZ99", "MESH00")]
)
def test_the_next_contract_is_that_of_the_next_quarter(contract, following):
    assert next_contract(contract) == following


def test_a_session_too_short_for_its_faults_is_refused(block):
    with pytest.raises(UsageError, match="trades are too few"):
        inject(block, FaultPlan({FaultKind.GAP: 100}), exact.generator(1, 0, 0))


def test_a_plan_out_of_range_is_refused():
    with pytest.raises(UsageError, match="GAP was -1"):
        FaultPlan({FaultKind.GAP: -1})
