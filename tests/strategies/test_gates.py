"""Each gate: one case that it stops and one near miss, through the whole decision."""

from math import nan

import pytest
from trading_cases import (
    COLLECT,
    LIVE,
    PAPER,
    a_context,
    a_proposal,
    a_setup,
    at,
    features,
    some_facts,
    valid,
)

from mia.core.base_types import Reason, Regime, SetupKind, Signal, Strategy, TradingState
from mia.execution.risk_manager import RiskManager
from mia.strategies.signal_generator import SignalGenerator

SECOND = 1_000_000_000


def decide(context=None, proposal=None, limits=PAPER, model=None, **facts):
    generator = SignalGenerator(limits, RiskManager(limits), model=model)
    return generator.decide(
        context or a_context(), proposal or a_proposal(), some_facts(limits, **facts)
    )


def gate(decision, code: Reason):
    (found,) = (g for g in decision.gates if g.code is code)
    return found


def check(code: Reason, stopped, missed) -> None:
    """The first decision fails at the gate alone, the second passes it."""
    assert [g.code for g in stopped.gates if not g.passed] == [code]
    assert stopped.reason is code
    assert gate(missed, code).passed


class Model:
    def __init__(self, probability) -> None:
        self.value = probability

    def probability(self, context, proposal):
        return self.value


def test_the_common_case_passes_every_gate() -> None:
    decision = decide()
    assert decision.reason is Reason.OK
    assert decision.accepted
    assert decision.signal is Signal.LONG_TREND
    assert [g.code for g in decision.gates] == [
        code for code in Reason if code not in {Reason.OK, Reason.REGIME_WAIT, Reason.NO_SETUP}
    ]


def test_kill_state_stops_any_state_but_normal() -> None:
    for state in list(TradingState)[1:]:
        check(Reason.KILL_STATE, decide(trading_state=state), decide())


def test_mode_hours_start_inclusive_and_end_five_minutes_early() -> None:
    # paper: 09:35 to 15:45, so entries from 09:35:00 to before 15:40:00
    for early, first in (("09:34:59", "09:35"), ("15:40", "15:39:59")):
        check(
            Reason.MODE_HOURS,
            decide(a_context(ts=at(early), regime_changed_at=at("09:00"))),
            decide(a_context(ts=at(first), regime_changed_at=at("09:00"))),
        )


def test_news_window_stops_inside_a_window() -> None:
    window = (at("10:20"), at("10:30"))
    facts = {"news_window": lambda ts: window[0] <= ts <= window[1]}
    check(Reason.NEWS_WINDOW, decide(**facts), decide(a_context(ts=at("10:30") + SECOND), **facts))


def test_news_without_a_calendar_passes_as_unknown() -> None:
    found = gate(decide(news_window=lambda ts: None), Reason.NEWS_WINDOW)
    assert (found.passed, found.known) == (True, False)


def test_session_factor_needs_sixty_hundredths() -> None:
    check(
        Reason.SESSION_FACTOR,
        decide(a_context(features=features(f8=0.5, f18=0.45))),
        decide(a_context(features=features(f8=0.5, f18=0.60))),
    )


def test_feature_quality_needs_seventy_hundredths() -> None:
    check(
        Reason.FEATURE_QUALITY,
        decide(a_context(feature_quality=9 / 13)),
        decide(a_context(feature_quality=0.7 - 1e-12)),
    )


def test_micro_anomaly_stops_from_six_tenths() -> None:
    check(
        Reason.MICRO_ANOMALY,
        decide(a_context(micro_anomaly=0.6)),
        decide(a_context(micro_anomaly=0.599)),
    )


def test_spread_stops_at_three_ticks() -> None:
    check(Reason.SPREAD, decide(a_context(spread=3)), decide(a_context(spread=2)))


def test_spread_without_a_book_passes_as_unknown() -> None:
    found = gate(decide(a_context(spread=0)), Reason.SPREAD)
    assert (found.passed, found.known) == (True, False)


def test_regime_confidence_of_a_weak_trend_must_be_higher() -> None:
    def weak(c):
        return a_context(regime=Regime.WEAK_TREND_BULL, regime_confidence=c)

    check(Reason.REGIME_CONF, decide(weak(0.7499)), decide(weak(0.75)))
    check(
        Reason.REGIME_CONF,
        decide(a_context(regime_confidence=0.5999)),
        decide(a_context(regime_confidence=0.60)),
    )


def test_regime_cooldown_lasts_five_minutes() -> None:
    check(
        Reason.REGIME_COOLDOWN,
        decide(a_context(regime_changed_at=at("10:25") + 1)),
        decide(a_context(regime_changed_at=at("10:25"))),
    )


@pytest.mark.parametrize("regime", list(Regime))
@pytest.mark.parametrize("side", [1, -1])
def test_direction_permits_the_side_of_the_regime(regime: Regime, side: int) -> None:
    found = gate(
        decide(a_context(regime=regime), a_proposal(side=side, target=25_001 + 24 * side)),
        Reason.DIRECTION,
    )
    assert found.passed == (regime.side == side or regime is Regime.RANGE_NEUTRAL)


def test_golden_rule_binds_in_paper_and_live_only() -> None:
    against = a_context(golden=-0.01)
    check(Reason.GOLDEN_RULE, decide(against), decide(a_context(golden=0.0)))
    assert not gate(decide(against, limits=LIVE), Reason.GOLDEN_RULE).passed
    assert gate(decide(against, limits=COLLECT), Reason.GOLDEN_RULE).passed


def test_battle_against_stops_below_minus_thirty_five_hundredths() -> None:
    # at S = -0.36 the other confidence parts must carry: 0.15*1 + 0.20*0.2 + ... >= 0.60
    strong = {"price_score": 1.0, "mtf": 1.0, "features": features(f8=1.0)}
    check(
        Reason.BN_AGAINST,
        decide(a_context(score=-0.36, **strong)),
        decide(a_context(score=-0.35, **strong)),
    )


def test_mtf_needs_three_tenths_on_the_side() -> None:
    check(Reason.MTF, decide(a_context(mtf=0.29)), decide(a_context(mtf=0.30)))


def test_an_invalid_mtf_passes_as_unknown() -> None:
    found = gate(decide(a_context(mtf=0.0, mtf_valid=False)), Reason.MTF)
    assert (found.passed, found.known) == (True, False)


def test_confluence_needs_the_minimum_of_the_mode() -> None:
    check(
        Reason.CONFLUENCE, decide(a_context(price_score=0.39)), decide(a_context(price_score=0.40))
    )


def test_a_damping_dealer_wall_stops_a_long_up_to_five_ticks_below_it() -> None:
    # entry 25001
    def walled(wall, f9=0.2):
        return a_context(call_wall=wall, features=features(f8=0.5, f9=f9))

    check(Reason.DEALER_WALL, decide(walled(25_006.0)), decide(walled(25_006.1)))
    check(Reason.DEALER_WALL, decide(walled(25_001.0)), decide(walled(25_000.9)))
    check(Reason.DEALER_WALL, decide(walled(25_003.0)), decide(walled(25_003.0, f9=0.0)))


def test_a_short_minds_the_put_wall_below_it() -> None:
    short = a_proposal(side=-1, entry=24_992, stop=25_004, target=24_968)
    damped = features(f9=0.2)
    near = a_context(put_wall=24_987.0, features=damped)
    far = a_context(put_wall=24_986.9, features=damped)
    assert not gate(decide(near, short), Reason.DEALER_WALL).passed
    assert gate(decide(far, short), Reason.DEALER_WALL).passed


def test_walls_or_gamma_unknown_pass_as_unknown() -> None:
    damped = features(f8=0.5, f9=0.2)
    for context in (
        a_context(features=damped),
        a_context(features=damped, call_wall=25_003.0, valid=valid(9)),
    ):
        found = gate(decide(context), Reason.DEALER_WALL)
        assert (found.passed, found.known) == (True, False)


def test_stale_options_stop_the_gamma_flip_trigger_of_the_trend_only() -> None:
    t3 = a_proposal(kind=SetupKind.P3)
    check(
        Reason.OPTIONS_STALE,
        decide(a_context(options_quality=0.19), t3),
        decide(a_context(options_quality=0.2), t3),
    )
    assert decide(a_context(options_quality=0.0)).accepted


def test_confidence_needs_the_stricter_minimum() -> None:
    # quality .8 S 0.0 conf .95 F8 0, model and gamma .5, price .4: with mtf = m
    # .12 + .10 + .06 + .095 + .15*(1+m)/2 + .05 + .05 + .025 = .575 + .075 m; .60 at m = 1/3
    def context(m):
        return a_context(score=0.0, price_score=0.4, mtf=m, features=features())

    check(Reason.CONFIDENCE, decide(context(0.333)), decide(context(1 / 3)))
    assert decide(context(1 / 3)).confidence == pytest.approx(0.60, abs=1e-12)


def test_a_promoted_model_must_reach_break_even() -> None:
    # d 12, target 24: b = 2. MES: R = 15.00, costs 1.92 + 2.50 = 4.42, c = .294667
    # tau = (1 + .294667)/(1 + 2) = .431556
    tau = (1 + 4.42 / 15) / 3
    check(
        Reason.MODEL,
        decide(model=Model(tau - 1e-6)),
        decide(model=Model(tau)),
    )
    assert gate(decide(model=Model(tau)), Reason.MODEL).limit == pytest.approx(tau, abs=1e-12)


def test_without_a_promoted_model_the_gate_is_unknown_and_the_part_is_one_half() -> None:
    decision = decide(model=Model(None))
    assert decision.parts["model"] == 0.5
    assert (gate(decision, Reason.MODEL).passed, gate(decision, Reason.MODEL).known) == (
        True,
        False,
    )


def test_reward_to_risk_needs_one_and_a_half() -> None:
    # 12 * 1.5 = 18
    check(
        Reason.RR,
        decide(proposal=a_proposal(target=25_018)),
        decide(proposal=a_proposal(target=25_019)),
    )


def test_a_target_behind_the_entry_fails_reward_to_risk() -> None:
    assert decide(proposal=a_proposal(target=24_980)).reason is Reason.RR


def test_signal_cooldown_lasts_five_minutes() -> None:
    for stopped, missed in ((at("10:25") + 1, at("10:25")),):
        one, other = some_facts(), some_facts()
        one.record_accepted(stopped)
        other.record_accepted(missed)
        check(
            Reason.SIGNAL_COOLDOWN, decide(accepted=one.accepted), decide(accepted=other.accepted)
        )


def test_the_tenth_signal_of_an_hour_is_the_last() -> None:
    def accepted(first: str):
        facts = some_facts()
        facts.record_accepted(at(first))
        for k in range(9):
            facts.record_accepted(at("10:00") + k * 60 * SECOND)
        return facts.accepted

    check(
        Reason.SIGNAL_RATE,
        decide(accepted=accepted("09:30:01")),
        decide(accepted=accepted("09:30")),
    )


def test_loss_cooldown_lasts_fifteen_minutes_after_a_stop_out() -> None:
    check(
        Reason.LOSS_COOLDOWN,
        decide(last_stop_out=at("10:15") + 1),
        decide(last_stop_out=at("10:15")),
    )


def test_every_failure_is_recorded_and_the_first_is_the_reason() -> None:
    decision = decide(a_context(spread=9, mtf=-1.0), trading_state=TradingState.HALT_ENTRIES)
    failed = [g.code for g in decision.gates if not g.passed]
    assert failed[:3] == [Reason.KILL_STATE, Reason.SPREAD, Reason.MTF]
    assert decision.reason is Reason.KILL_STATE
    assert decision.signal is Signal.NO_SIGNAL


def test_a_rejected_proposal_has_no_quantity_but_tells_what_it_would_have_been() -> None:
    decision = decide(a_context(spread=9))
    assert decision.quantity == 0
    # MES risk 15 + 1.92 + 2.5 = 19.42; floor(180 / 19.42) = 9
    assert (decision.symbol, decision.budgets["contracts"]) == ("MES", 9)


def test_a_stop_too_far_is_a_decision_with_every_gate() -> None:
    generator = SignalGenerator(PAPER, RiskManager(PAPER))
    context = a_context(setups=(a_setup(stop=24_985.0),))
    decision = generator.evaluate(context, some_facts())
    assert decision.reason is Reason.STOP_TOO_FAR
    assert decision.proposal.distance == 16
    assert gate(decision, Reason.STOP_TOO_FAR).value == 16
    assert len(decision.gates) == len(decide().gates)


def test_a_close_without_a_proposal_is_a_bare_reason() -> None:
    generator = SignalGenerator(PAPER, RiskManager(PAPER))
    assert generator.evaluate(a_context(setups=()), some_facts()) is Reason.NO_SETUP
    waiting = a_context(regime=Regime.TRANSITION)
    assert generator.evaluate(waiting, some_facts()) is Reason.REGIME_WAIT


@pytest.mark.parametrize(
    ("strategy", "side", "regime", "signal"),
    [
        (Strategy.TREND, 1, Regime.STRONG_TREND_BULL, Signal.LONG_TREND),
        (Strategy.TREND, -1, Regime.STRONG_TREND_BEAR, Signal.SHORT_TREND),
        (Strategy.RANGE, 1, Regime.RANGE_NEUTRAL, Signal.LONG_RANGE),
        (Strategy.RANGE, -1, Regime.RANGE_NEUTRAL, Signal.SHORT_RANGE),
    ],
)
def test_signals_name_side_and_family(strategy, side, regime, signal) -> None:
    context = a_context(
        regime=regime, score=0.6 * side, mtf=0.6 * side, golden=0.6 * side, features=features()
    )
    proposal = a_proposal(
        strategy=strategy, side=side, stop=25_001 - 12 * side, target=25_001 + 24 * side
    )
    assert decide(context, proposal).signal is signal


@pytest.mark.parametrize(
    ("field", "code"),
    [
        ("atr", Reason.STOP_TOO_FAR),
        ("feature_quality", Reason.FEATURE_QUALITY),
        ("micro_anomaly", Reason.MICRO_ANOMALY),
        ("regime_confidence", Reason.REGIME_CONF),
        ("golden", Reason.GOLDEN_RULE),
        ("score", Reason.BN_AGAINST),
        ("mtf", Reason.MTF),
        ("price_score", Reason.CONFLUENCE),
    ],
)
def test_a_value_that_is_no_number_passes_no_gate(field: str, code: Reason) -> None:
    assert not gate(decide(a_context(**{field: nan})), code).passed


def test_a_model_that_answers_no_number_stops_the_trade() -> None:
    assert not decide(model=Model(nan)).accepted
