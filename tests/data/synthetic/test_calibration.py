import os
from pathlib import Path

import numpy as np
import pytest

from mia.core.base_types import MISSING_PRICE, TradeBlock
from mia.data.synthetic import SyntheticMarket, calibration, figures
from mia.data.synthetic.calibration import TARGETS

STEADY = [name for name, target in TARGETS.items() if target.steady]
VARIED = [name for name, target in TARGETS.items() if not target.steady]


@pytest.fixture(scope="module")
def reference_days():
    return calibration.measure_steady(20, 1)


@pytest.fixture(scope="module")
def markets():
    return calibration.measure_varied(100, 1)


@pytest.mark.parametrize("name", STEADY)
def test_a_day_of_trades_looks_like_the_reference_day(reference_days, name):
    target = TARGETS[name]
    assert abs(reference_days[name] - target.value) <= target.tolerance


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIED)
def test_bars_and_days_look_like_the_years_measured(markets, name):
    target = TARGETS[name]
    assert abs(markets[name] - target.value) <= target.tolerance


def test_a_session_of_trades_is_made_in_less_than_two_seconds():
    import time

    market = SyntheticMarket(1, calibration.FIRST_DAY, 1, steady=True)
    start = time.perf_counter()
    trades = len(next(market.blocks()))
    assert trades > 250_000
    assert time.perf_counter() - start < 2.0


def test_every_target_is_measured_on_one_of_the_two_tapes(reference_days):
    market = SyntheticMarket(1, calibration.FIRST_DAY, 3, trades_per_day=5_000)
    found = set(calibration.measure(market.blocks())) | set(figures.day_figures(market.blocks()))
    assert set(TARGETS) <= found
    assert set(reference_days) == set(STEADY)


def test_sessions_that_end_before_the_cash_close_are_left_out():
    whole = SyntheticMarket(1, 20241223, 1, trades_per_day=5_000)
    with_half_day = SyntheticMarket(1, 20241223, 2, trades_per_day=5_000)
    assert with_half_day.sessions()[1].session_id == 20241224
    a, b = (calibration.measure(market.blocks()) for market in (whole, with_half_day))
    assert a["trades"] == b["trades"]


def block(ts, price, size, side, spread=1):
    ts, price = np.array(ts, np.int64), np.array(price, np.int32)
    bid = np.where(np.array(side) > 0, price - spread, price).astype(np.int32)
    return TradeBlock(
        "ESM24", ts, price, np.array(size, np.int32), np.array(side, np.int8), bid,
        bid + np.int32(spread),
    )  # fmt: skip


OPEN = 1_714_946_400 * 10**9
"""17:00 Chicago on 5 May 2024."""


def at(label, second=0.0):
    from mia.data.synthetic.intraday import SLOT_S, slot_of

    return OPEN + int((slot_of(label) * SLOT_S + second) * 1e9)


def test_the_memory_of_the_daily_volume_is_that_of_a_series_made_by_hand():
    days = [block([0], [8], [k % 2 + 1], [1]) for k in range(400)]
    found = figures.day_figures(days)
    assert found["day_volume_ac_1"] == pytest.approx(-1.0, abs=0.01)
    assert found["day_volume_ac_5"] == pytest.approx(-1.0, abs=0.01)


def test_the_opening_of_a_session_is_found_from_any_time_in_it():
    for label in ("17:00", "23:55", "08:30", "15:55"):
        assert figures.session_open(at(label, 12.5)) == OPEN


def test_figures_of_trades_are_those_of_a_tape_counted_by_hand():
    tape = block([0, 1, 2, 3, 4, 5], [8, 9, 8, 8, 10, 13], [1, 1, 2, 3, 1, 4], [1] * 6)
    found = figures.trade_figures(tape)
    assert found["size_mean"] == 2.0
    assert found["size_one"] == 0.5
    assert found["size_max"] == 4.0
    assert found["tick_0"] == 0.2
    assert found["tick_1"] == 0.4
    assert found["tick_2"] == 0.2
    assert found["tick_3+"] == 0.2
    assert found["reversal"] == pytest.approx(2 / 3)


def test_figures_of_arrivals_are_those_of_counts_made_by_hand():
    seconds = np.repeat(np.arange(0, figures.RTH_S, 2), 6)
    found = figures.arrival_figures(seconds)
    assert found["rate"] == 3.0
    assert found["rate_max"] == 6.0
    assert found["empty"] == 0.5
    assert found["fano_1s"] == 3.0
    assert found["fano_10s"] == 0.0
    assert found["count_ac_1s"] == pytest.approx(-1.0, abs=1e-3)
    assert found["count_ac_10s"] == pytest.approx(1.0, abs=1e-3)


def test_the_signature_of_a_bounce_falls_with_the_lag():
    second = np.arange(figures.RTH_S)
    price = (8000 + second % 2).astype(np.int32)
    found = figures.price_figures(second, price)
    assert found["signature_1s"] == 0.0625
    assert found["signature_5s"] == 0.0625 / 5
    assert found["signature_30s"] == 0.0


def test_a_wide_quote_counts_by_its_spread_and_an_unknown_one_not_at_all():
    narrow, wide = block([0], [8], [1], [1]), block([0, 1], [8, 8], [1, 1], [1, 1], 2)
    assert figures.spread_figures(narrow, np.array([True]))["spread_1"] == 1.0
    assert figures.spread_figures(wide, np.array([True, False]))["spread_2"] == 1.0
    unknown = np.full(1, MISSING_PRICE, np.int32)
    bare = TradeBlock("ESM24", narrow.ts_event, narrow.price, narrow.size,
                      narrow.aggressor_side, unknown, unknown)  # fmt: skip
    assert np.isnan(figures.spread_figures(bare, np.array([True]))["spread_1"])


def test_bars_collect_volume_delta_and_range_by_slot():
    bars = figures.SlotBars()
    tape = block(
        [at("08:30"), at("08:30", 10), at("08:30", 20), at("08:35")],
        [100, 108, 96, 104],
        [5, 7, 2, 3],
        [1, 1, -1, -1],
    )
    bars.add(tape, (tape.ts_event - OPEN) // 10**9)
    slot = figures.FIRST_SLOT
    assert bars.volume[0][slot : slot + 3].tolist() == [14.0, 3.0, 0.0]
    assert bars.delta[0][slot : slot + 2].tolist() == [10.0, -3.0]
    assert bars.high[0][slot] - bars.low[0][slot] == 3.0
    assert bars.close[0][slot : slot + 3].tolist() == [24.0, 26.0, 26.0]


def test_a_figure_outside_its_tolerance_is_named_in_the_report(reference_days):
    measured = {name: target.value for name, target in TARGETS.items()}
    assert "missed" not in calibration.report(measured)
    measured["reversal"] = 0.5
    (line,) = [row for row in calibration.report(measured).splitlines() if "missed" in row]
    assert line.startswith("| reversal | 0.76 ")


def test_the_guide_shows_the_targets_that_are_tested():
    guide = (Path(__file__).parents[3] / "docs" / "synthetic-market.md").read_text("utf-8")
    shown = [line.split("|")[1:4] for line in guide.splitlines() if line.startswith("| ")]
    want = calibration.report({name: target.value for name, target in TARGETS.items()})
    assert shown == [line.split("|")[1:4] for line in want.splitlines() if line.startswith("| ")]


def test_the_command_prints_the_table(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["calibration", "--days", "2", "--seed", "3"])
    calibration.main()
    assert capsys.readouterr().out.count("\n") == len(TARGETS) + 2


@pytest.mark.skipif("MIA_REAL_DATA" not in os.environ, reason="needs recorded data")
def test_the_measurement_finds_the_targets_in_the_recorded_day():
    import pandas as pd

    trades = pd.read_parquet(Path(os.environ["MIA_REAL_DATA"]) / "es_trades_20190809.parquet")
    price = trades.price_tick.to_numpy()
    unknown = np.full(len(price), MISSING_PRICE, np.int32)
    tape = TradeBlock(
        "ESU19",
        trades.ts_utc.astype("int64").to_numpy(),
        price,
        trades.qty.to_numpy(),
        np.where(np.diff(price, prepend=price[0]) < 0, -1, 1).astype(np.int8),
        unknown,
        unknown,
    )
    found = calibration.measure([tape])
    for name in STEADY:
        if not name.startswith("spread"):
            assert found[name] == pytest.approx(TARGETS[name].value, rel=0.07), name
