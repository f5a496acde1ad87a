import msgspec
import pytest
from account_files import NOW, leave_account, paper
from run_cases import a_run

from mia.monitoring.dashboard.views.closed_trades import ClosedTrades
from mia.monitoring.dashboard.views.risk_limits import KINDS, risk_limits
from mia.trader.screen.shown_files import note_limits

FRAME = {
    "ts": 1_741_617_000_000_000_000,
    "day": {
        "session_id": 20250310,
        "worst_pnl": -150.0,
        "realized_pnl": 40.0,
        "trades": 3,
        "equity": 24_000.0,
        "equity_high": 25_000.0,
    },
    "battle": {"score": -0.5, "vix": 15.0},
    "signal": {
        "confidence": 0.7,
        "gates": [{"code": "CONFLUENCE", "value": 0.45, "limit": 0.4, "known": True}],
    },
    "held": {"symbol": "MES", "quantity": -5, "side": -1, "entry": 18_000.5, "stop": 18_010},
}


def rows(found):
    return {row["name"]: row for row in found["rows"]}


def test_each_limit_has_its_value_and_the_layer_that_set_it(tmp_path):
    note_limits(tmp_path, paper("limits.daily_loss_usd=350"), NOW)
    found = risk_limits(tmp_path, None, {})
    by_name = rows(found)
    assert set(by_name) == set(KINDS)
    loss = by_name["daily_loss_usd"]
    assert (loss["value"], loss["source"]) == (350.0, "command line")
    assert by_name["vix_ceiling"]["source"] == "mode paper"
    assert by_name["kelly_fraction"]["source"] == "level conservative"
    assert (found["mode"], found["level"], found["since"]) == ("paper", "conservative", "")
    assert all(row["used"] is None for row in found["rows"])


def test_a_living_trader_tells_how_much_is_used(tmp_path):
    note_limits(tmp_path, paper(), NOW)
    found = risk_limits(tmp_path, FRAME, {})
    by_name = rows(found)
    assert found["since"] == "frame"
    assert by_name["daily_loss_usd"]["share"] == pytest.approx(150 / 600)
    assert by_name["max_drawdown"]["used"] == pytest.approx(0.04)
    assert by_name["trades_per_day"]["used"] == 3
    # 5 MES are half an ES; 9.5 ticks of 1.25 USD on 5 contracts are 59.375 USD.
    assert by_name["max_size"]["used"] == 0.5
    assert by_name["per_trade_usd"]["used"] == pytest.approx(59.375)
    assert by_name["per_trade_pct"]["used"] == pytest.approx(59.375 / 24_000)
    assert by_name["min_confluence"]["used"] == 0.45
    # 14:30 UTC in summer is 10:30 in New York.
    assert by_name["start_minute"]["used"] == 10 * 60 + 30


def test_the_high_of_the_day_counts_against_its_target(tmp_path):
    note_limits(tmp_path, paper(), NOW)
    day = {"session_id": 20250310, "day_high": 300.0}
    assert rows(risk_limits(tmp_path, FRAME, day))["daily_target_usd"]["used"] == 300.0
    day["session_id"] = 20250307
    assert rows(risk_limits(tmp_path, FRAME, day))["daily_target_usd"]["used"] == 40.0


def test_without_a_trader_the_journal_tells(tmp_path):
    run = a_run(seed=3, last=20251112)
    risk = leave_account(tmp_path, run.record)
    found = risk_limits(tmp_path, None, ClosedTrades(tmp_path).read().day)
    by_name = rows(found)
    assert found["since"] == "journal"
    assert by_name["daily_loss_usd"]["used"] == max(0.0, -risk.day_pnl)
    assert by_name["trades_per_day"]["used"] == risk.day_trades


def test_no_ceiling_is_null_and_has_no_share(tmp_path):
    note_limits(tmp_path, paper("trading_mode=data_collection"), NOW)
    row = rows(risk_limits(tmp_path, FRAME, {}))["vix_ceiling"]
    assert (row["value"], row["share"]) == (None, None)
    msgspec.json.encode(row)


def test_before_any_run_there_are_no_rows_and_damage_is_told(tmp_path):
    assert risk_limits(tmp_path, None, {})["rows"] == []
    (tmp_path / "limits.json").write_text('{"limits": {"max_size": 3}}')
    assert "cannot be read" in risk_limits(tmp_path, None, {})["fault"]
