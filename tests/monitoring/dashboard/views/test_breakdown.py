import pytest
from account_files import leave_account
from run_cases import a_run

from mia.monitoring.dashboard.views.breakdown import breakdown, drawdown
from mia.monitoring.dashboard.views.closed_trades import ClosedTrades


@pytest.fixture(scope="module")
def run():
    return a_run(seed=5)


@pytest.fixture(scope="module")
def found(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("state")
    leave_account(folder, run.record)
    return breakdown(ClosedTrades(folder).read().trades)


def test_figures_are_those_of_the_report(run, found):
    whole = found["all"]
    for mine, theirs in (
        ("n", "trades"),
        ("wins", "wins"),
        ("win_rate", "win_rate"),
        ("win_rate_95", "win_rate_wilson_95"),
        ("profit_factor", "profit_factor"),
        ("expectancy_r", "expectancy_r"),
        ("expectancy_r_95", "expectancy_r_95"),
        ("net", "net_pnl_usd"),
        ("costs", "costs_usd"),
        ("slippage", "slippage_ticks_mean"),
    ):
        assert whole[mine] == pytest.approx(run.summary[theirs]), mine


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        ("by_regime", "by_regime"),
        ("by_setup", "by_trigger"),
        ("by_strategy", "by_strategy"),
        ("by_exit", "by_exit"),
    ],
)
def test_groups_are_those_of_the_report(run, found, mine, theirs):
    assert {g["name"]: (g["n"], g["net"]) for g in found[mine]} == {
        name: (group["trades"], pytest.approx(group["net_pnl_usd"]))
        for name, group in run.summary[theirs].items()
    }


def test_hours_are_those_of_new_york_in_summer_and_winter():
    def at(ts):
        trade = {"session": 1, "side": 1, "net": 1.0, "gross": 1.0, "costs": 0.0, "r": 1.0}
        more = dict.fromkeys(("regime", "setup", "strategy", "exit_reason"), "x")
        return trade | more | {"ts_entry": ts, "slippage": 0.0}

    # 14:30 UTC is 10:30 on 10 March 2025 (summer time) and 09:30 on 3 March.
    summer, winter = 1_741_617_000_000_000_000, 1_741_012_200_000_000_000
    assert [g["name"] for g in breakdown([at(summer), at(winter)])["by_hour"]] == ["09", "10"]


def test_nothing_is_undefined_rather_than_zero():
    whole = breakdown([])["all"]
    assert whole["n"] == 0
    for name in ("win_rate", "profit_factor", "expectancy_r", "win_rate_95", "slippage"):
        assert whole[name] is None


def test_a_fall_is_measured_from_the_high_before_it():
    found = drawdown([[1, 100.0], [2, 120.0], [3, 90.0], [4, 110.0]])
    assert [fall for _, fall in found["falls"]] == [0.0, 0.0, 30.0, 10.0]
    assert found["deepest"] == 30.0
    assert found["share"] == 0.25
    assert drawdown([])["deepest"] is None
