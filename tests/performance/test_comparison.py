import json
import re
from dataclasses import replace

import numpy as np
import pytest
from run_cases import START, ARun, a_run
from trading_cases import a_closed_trade

from mia.core.base_types import OrderRole, Reason
from mia.core.trading_types import Fill
from mia.performance.comparison import compare
from mia.performance.comparison_page import apart_lines, render, verdict
from mia.performance.divergence import diverge, matched
from mia.performance.output import write_candles
from mia.performance.recorder import RunRecord
from mia.performance.results import write_results
from mia.performance.stored_run import StoredRun, read_run


def stored(folder, run: ARun) -> StoredRun:
    folder.mkdir()
    write_results(folder, run.record, run.summary, START)
    write_candles(folder / "candles.parquet", run.bars)
    return read_run(folder)


def of(run: ARun, name: str = "a") -> StoredRun:
    return StoredRun(name, run.record, run.summary, run.bars)


def shifted(run: ARun, usd: float) -> ARun:
    trades = [
        replace(t, net_pnl=t.net_pnl + usd, r_multiple=t.r_multiple + usd / 150)
        for t in run.record.trades
    ]
    return ARun(replace(run.record, trades=trades), run.bars, run.summary)


def test_a_run_does_not_differ_from_itself():
    run = a_run(seed=3)
    found = compare(of(run), of(run))
    for part in found["differences"].values():
        assert part["difference"] == 0.0
        assert part["difference_95"] == [0.0, 0.0]
    assert found["identity"] == {}
    assert "equal, session by session" in verdict(found)
    assert diverge(run.record, run.record)["identical"]


def test_sharing_sessions_narrows_the_interval_of_a_difference():
    run = a_run(seed=3, last=20251231)
    found = compare(of(run), of(shifted(run, 10.0)))
    apart = found["differences"]["mean_session_usd"]
    per_session = len(run.record.trades) / len(run.record.sessions)
    assert apart["difference"] == pytest.approx(10.0 * per_session)
    low, high = apart["difference_95"]
    assert 0.0 < low < apart["difference"] < high < 40.0
    assert found["differences"]["expectancy_r"]["difference_95"] == pytest.approx([1 / 15, 1 / 15])
    assert "B earned more" in verdict(found)


def test_intervals_of_differences_cover_the_truth_as_often_as_they_say():
    summary = a_run(per_day=0.0, with_bars=False).summary
    covered = 0
    for seed in range(80):
        rng = np.random.Generator(np.random.PCG64(seed))
        sides = []
        for _ in range(2):
            record = RunRecord(sessions=list(range(20250101, 20250131)))
            record.trades += [
                a_closed_trade(float(rng.normal(0.0, 100.0)), session_id=sid)
                for sid in record.sessions
            ]
            sides.append(StoredRun("x", record, summary, {}))
        low, high = compare(*sides)["differences"]["mean_session_usd"]["difference_95"]
        covered += low < 0.0 < high
    assert covered / 80 == pytest.approx(0.95, abs=0.05)


def test_runs_without_a_shared_session_have_no_difference():
    found = compare(of(a_run(last=20251114)), of(a_run(first=20251117)))
    assert found["sessions"]["both"] == 0
    assert found["differences"]["sharpe"]["difference"] is None
    assert "nothing can be said" in verdict(found)


def test_runs_without_trades_have_no_ratio_to_differ():
    empty = a_run(per_day=0.0)
    found = compare(of(empty), of(a_run(seed=3)))
    assert found["differences"]["win_rate"]["a"] is None
    assert found["differences"]["win_rate"]["difference_95"] == [None, None]
    assert found["differences"]["mean_session_usd"]["a"] == 0.0
    json.dumps(found, allow_nan=False)


def test_what_the_runs_were_made_from_is_told_where_it_differs():
    found = compare(of(a_run(seed=3)), of(a_run(seed=3, code_version="9")))
    assert found["identity"] == {"code_version": {"a": "0.1.0", "b": "9"}}


def test_pairs_keep_their_order_and_leave_the_rest():
    found = matched([1, 1, 2, 5], [1, 2, 2, 3], lambda x: x)
    assert (found.pairs, found.only_a, found.only_b) == ([(1, 1), (2, 2)], [1, 5], [2, 3])


def test_every_kind_of_divergence_is_found():
    run = a_run(seed=3)
    trades, decisions = list(run.record.trades), list(run.record.decisions)
    first, second = trades[0], trades[1]
    trades[0] = replace(first, entry=first.entry + 2 * first.side, net_pnl=first.net_pnl - 25.0)
    del trades[1]
    accepted = [k for k, d in enumerate(decisions) if d.accepted]
    decisions[accepted[0]] = replace(decisions[accepted[0]], reason=Reason.MTF)
    last = decisions[accepted[1]]
    decisions[accepted[1]] = replace(last, features=(9.0, *last.features[1:]))
    fills = [
        Fill(first.trade_id, OrderRole.ENTRY, first.ts_entry, 1, 1, 100, 100, 2.25),
        Fill(first.trade_id, OrderRole.ENTRY, first.ts_entry, 1, 1, 101, 100, 2.25),
        Fill(first.trade_id, OrderRole.STOP, first.ts_exit, -1, 2, 90, 90, 4.5),
    ]
    later = [
        Fill(first.trade_id, OrderRole.ENTRY, first.ts_entry + 10**9, 1, 2, 102, 100, 4.5),
        replace(fills[2], price=88),
    ]
    a = replace(run.record, fills=fills)
    found = diverge(a, replace(run.record, trades=trades, decisions=decisions, fills=later))
    assert not found["identical"]
    assert found["trades"]["only_a"] == [second.trade_id]
    assert found["trades"]["differing"] == 1
    assert found["trades"]["fields"] == {"entry_ticks": 1, "net_pnl_usd": 1}
    assert found["trades"]["net_pnl_usd"]["sum"] == -25.0
    assert found["trades"]["entry_worse_ticks"]["mean"] == pytest.approx(2 / (len(trades)))
    assert found["decisions"]["fields"] == {"features": 1, "reason": 1}
    assert found["fills"]["both"] == 2
    assert found["fills"]["worse_ticks"]["mean"] == pytest.approx((1.5 + 2.0) / 2)
    assert found["fills"]["later_seconds"]["p95"] > 0.9
    json.dumps(found, allow_nan=False)
    page = render(compare(of(run), of(run)), found)
    assert f"{second.trade_id}</td><td>only in A" in page
    assert "reason OK / MTF" in page
    assert not re.search(r"(src|href)=\"(?!data:,)", page)


def test_undefined_numbers_on_both_sides_are_the_same():
    trade = a_closed_trade(1.0, entry=float("nan"))
    a, b = (RunRecord(sessions=[20251118], trades=[trade]) for _ in range(2))
    assert diverge(a, b)["identical"]
    assert not diverge(a, replace(b, trades=[a_closed_trade(1.0)]))["identical"]


def test_runs_read_from_files_compare_as_those_in_memory(tmp_path):
    one, other = a_run(seed=3), a_run(seed=4)
    read = [stored(tmp_path / name, run) for name, run in (("a", one), ("b", other))]
    found, wanted = compare(*read), compare(of(one), of(other))
    assert found["differences"] == wanted["differences"]
    assert diverge(read[0].record, read[1].record) == diverge(one.record, other.record)


def test_decisions_that_part_are_dated_in_new_york_and_trades_have_their_ids():
    nothing = {"only_a": [], "only_b": [], "list": []}
    parted = {
        "decisions": nothing | {"only_a": ["1741617000000000000 P1 LONG"]},
        "fills": nothing,
        "trades": nothing | {"only_b": ["TRADE_20250310_143000_0a1b2c3d"]},
    }
    lines = apart_lines(parted)
    assert ["decision", "2025-03-10 10:30:00 P1 LONG", "only in A"] in lines
    assert ["trade", "TRADE_20250310_143000_0a1b2c3d", "only in B"] in lines
