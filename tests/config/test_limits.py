from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mia.config.limits import LEVEL_LIMITS, MODE_LIMITS, REQUIRED_MINIMA, effective_limits
from mia.errors import ConfigError


def test_paper_and_conservative_are_the_defaults_of_the_worked_examples() -> None:
    limits = effective_limits("paper", "conservative")
    assert limits.max_size == 1  # of 2 and 1
    assert limits.per_trade_usd == 200  # of 200 and 200
    assert limits.per_trade_pct == 0.01
    assert limits.daily_loss_usd == 600  # of 600, 600 and MAX_DAILY_LOSS 1000
    assert limits.daily_target_usd == 1000
    assert limits.kelly_fraction == 0.15
    assert limits.min_confidence == 0.60
    assert (limits.start_minute, limits.end_minute) == (9 * 60 + 35, 15 * 60 + 45)
    assert limits.half_after_minute == 15 * 60


def test_each_value_names_the_source_that_set_it() -> None:
    wishes = [("environment", {"max_size": 1, "daily_loss_usd": 500}), ("p", {"vix_ceiling": 22})]
    limits = effective_limits("paper", "moderate", wishes)
    assert (limits.max_size, limits.sources["max_size"]) == (1, "environment")
    assert limits.sources["daily_loss_usd"] == "environment"
    assert limits.sources["per_trade_usd"] == "mode paper"  # 200 of 200 and 300
    assert limits.sources["kelly_fraction"] == "level moderate"
    assert (limits.vix_ceiling, limits.sources["vix_ceiling"]) == (22, "p")


def test_of_equal_sources_the_first_is_named() -> None:
    assert effective_limits("paper", "conservative").sources["daily_loss_usd"] == "mode paper"


def test_a_looser_wish_changes_nothing() -> None:
    wishes = {"max_size": 9, "min_confidence": 0.1, "start_minute": 0, "end_minute": 1400}
    strict = effective_limits("live", "conservative")
    loose = [("environment", {"daily_loss_usd": 9e9}), ("profile", wishes)]
    assert effective_limits("live", "conservative", loose) == strict


def test_required_minima_are_the_largest_and_hours_the_intersection() -> None:
    profile = {"min_confluence": 0.7, "start_minute": 600, "end_minute": 900}
    limits = effective_limits("paper", "aggressive", [("profile", profile)])
    assert limits.min_confluence == 0.7
    assert limits.min_confidence == 0.60  # paper 0.60, aggressive 0.55
    assert (limits.start_minute, limits.end_minute) == (600, 900)


def test_no_vix_ceiling_in_data_collection() -> None:
    assert effective_limits("data_collection", "conservative").vix_ceiling == inf


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        (
            {"daily_loss_usd": 150},
            r"per_trade_usd 200 \(mode paper\) exceeds daily_loss_usd 150 \(environment\)",
        ),
        ({"end_minute": 570}, r"start_minute 575 \(mode paper\) .* end_minute 570 \(environment\)"),
        ({"max_size": 0}, r"max_size 0 \(environment\) allows no"),
        ({"trades_per_day": 0}, r"trades_per_day 0 \(environment\) allows no trade"),
        ({"max_sise": 1}, "unknown limit 'max_sise' in environment"),
        ({"min_confidence": 1.01}, "min_confidence is a fraction .* environment gives 1.01"),
        ({"daily_loss_usd": nan}, "environment gives nan"),
        ({"daily_loss_usd": -5}, "environment gives -5"),
        ({"max_size": 1.5}, "whole number, environment gives 1.5"),
    ],
)
def test_contradictions_and_nonsense_are_named(wish, message) -> None:
    with pytest.raises(ConfigError, match=message):
        effective_limits("paper", "conservative", [("environment", wish)])


@pytest.mark.parametrize(("mode", "level"), [("demo", "conservative"), ("paper", "bold")])
def test_an_unknown_column_is_refused(mode: str, level: str) -> None:
    with pytest.raises(ConfigError, match="choose one of"):
        effective_limits(mode, level)


@given(
    mode=st.sampled_from(sorted(MODE_LIMITS)),
    level=st.sampled_from(sorted(LEVEL_LIMITS)),
    name=st.sampled_from(sorted(MODE_LIMITS["paper"])),
    scale=st.sampled_from([0.6, 0.9, 1.1, 1.6]),
)
def test_no_source_is_ever_looser_than_the_effective_value(mode, level, name, scale) -> None:
    wish = MODE_LIMITS[mode][name] * scale
    if name in ("max_size", "trades_per_day") or name.endswith("_minute"):
        wish = max(1, round(wish))
    if wish == inf or (wish > 1 and name in ("min_confidence", "min_confluence")):
        return
    try:
        limits = effective_limits(mode, level, [("profile", {name: wish})])
    except ConfigError:
        return
    sources = (MODE_LIMITS[mode], LEVEL_LIMITS[level], {name: wish})
    for values in sources:
        for key, value in values.items():
            effective = getattr(limits, key)
            assert effective >= value if key in REQUIRED_MINIMA else effective <= value
