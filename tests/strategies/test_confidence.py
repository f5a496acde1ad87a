import pytest
from trading_cases import a_context, a_proposal, features, valid

from mia.core.base_types import ExitReason, Signal, Strategy
from mia.strategies.confidence import WEIGHTS, confidence, confidence_parts, quality_label
from mia.strategies.signal_generator import exit_signal


def test_the_weights_sum_to_one_and_are_those_of_the_mean() -> None:
    assert sum(WEIGHTS.values()) == pytest.approx(1.0, abs=1e-12)
    for name, weight in WEIGHTS.items():
        alone = dict.fromkeys(WEIGHTS, 0.0) | {name: 1.0}
        assert confidence(alone) == pytest.approx(weight, abs=1e-12)


def test_a_hand_computed_long() -> None:
    # quality .8; S .3: (1 + .5)/2 = .75; price .6; regime .95; mtf .6: .8; F8 .5: .75
    # model .7; trend, F9 .4: (1 - .4)/2 = .3
    context = a_context(score=0.3, features=features(f8=0.5, f9=0.4))
    parts = confidence_parts(context, a_proposal(), 0.7)
    assert parts == pytest.approx(
        {
            "strategy": 0.8,
            "battle_navale": 0.75,
            "confluence": 0.6,
            "regime": 0.95,
            "multi_timeframe": 0.8,
            "smart_money": 0.75,
            "model": 0.7,
            "gamma": 0.3,
        }
    )
    # .12 + .15 + .09 + .095 + .12 + .075 + .07 + .015
    assert confidence(parts) == pytest.approx(0.735)


def test_a_range_trade_likes_damping_gamma() -> None:
    context = a_context(features=features(f9=0.4))
    parts = confidence_parts(context, a_proposal(strategy=Strategy.RANGE), None)
    assert parts["gamma"] == pytest.approx(0.7)


def test_a_short_reads_signed_parts_from_its_side() -> None:
    context = a_context(score=-0.3, mtf=-0.6, features=features(f8=-0.5))
    parts = confidence_parts(context, a_proposal(side=-1), None)
    assert parts["battle_navale"] == pytest.approx(0.75)
    assert parts["multi_timeframe"] == pytest.approx(0.8)
    assert parts["smart_money"] == pytest.approx(0.75)


@pytest.mark.parametrize(("score", "part"), [(0.86, 1.0), (-0.86, 0.0), (0.0, 0.5)])
def test_the_battle_saturates_at_six_tenths(score: float, part: float) -> None:
    assert confidence_parts(a_context(score=score), a_proposal(), None)["battle_navale"] == part


def test_a_missing_part_counts_one_half() -> None:
    context = a_context(mtf=0.9, mtf_valid=False, features=features(f8=1, f9=1), valid=valid(8, 9))
    parts = confidence_parts(context, a_proposal(), None)
    for name in ("multi_timeframe", "smart_money", "gamma", "model"):
        assert parts[name] == 0.5


@pytest.mark.parametrize(
    ("value", "label"),
    [
        (0.85, "PREMIUM"),
        (0.8499, "HIGH"),
        (0.75, "HIGH"),
        (0.7499, "STANDARD"),
        (0.65, "STANDARD"),
        (0.6499, "LOW"),
        (0.55, "LOW"),
        (0.5499, "REJECT"),
    ],
)
def test_labels_begin_at_their_limits(value: float, label: str) -> None:
    assert quality_label(value) == label


def test_exits_are_reported_as_profit_stop_or_rule() -> None:
    assert exit_signal(ExitReason.TARGET) is Signal.EXIT_PROFIT
    assert {r for r in ExitReason if exit_signal(r) is Signal.EXIT_STOP} == {
        ExitReason.STOP,
        ExitReason.EMERGENCY,
    }
    assert exit_signal(ExitReason.TIME_STOP) is Signal.EXIT_RULE
