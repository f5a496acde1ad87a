"""Contexts, triggers and trades for the tests of strategies and execution.

The common case is Tuesday 18 November 2025, 10:30 New York (15:30 UTC), a strong bull trend in
which a long proposal passes every gate of the paper mode.
"""

from dataclasses import replace
from math import nan
from typing import Any

from mia.config.limits import EffectiveLimits, effective_limits
from mia.core.base_types import (
    ExitReason,
    GoldenState,
    OrderType,
    Phase,
    Regime,
    SetupKind,
    Strategy,
    Tier,
)
from mia.core.trading_types import ClosedTrade, Context, Proposal, Setup
from mia.strategies.session_facts import SessionFacts
from mia.strategies.session_hours import session_hours

MINUTE = 60_000_000_000
SESSION = 20251118
MIDNIGHT = 1_763_442_000_000_000_000
"""00:00 New York of `SESSION`, ns UTC (05:00 UTC)."""

PAPER = effective_limits("paper", "conservative")
LIVE = effective_limits("live", "conservative")
COLLECT = effective_limits("data_collection", "conservative")


EASED = (
    "trading_mode=data_collection",
    "gate.session_min=0",
    "gate.regime_cooldown_s=0",
    "gate.signal_cooldown_s=0",
    "gate.loss_cooldown_s=0",
    "gate.mtf_min=0",
    "gate.weak_conf=0",
    "gate.regime_conf=0",
    "risk.loss_streak=100",
    "gate.min_rr=0.1",
)
"""Settings that let enough trades through to see the cycle work; the limits stay."""


def at(clock: str) -> int:
    """Return an instant of `SESSION` by its New York wall clock, as in ``10:30``."""
    hours, minutes, *seconds = (int(part) for part in clock.split(":"))
    return MIDNIGHT + (hours * 60 + minutes) * MINUTE + sum(seconds) * 1_000_000_000


def features(**changed: float) -> tuple[float, ...]:
    """Return F1 to F18, zero but for F18 = 0.75 and those given, as in ``f9=0.5``."""
    values = [0.0] * 17 + [0.75]
    for name, value in changed.items():
        values[int(name[1:]) - 1] = value
    return tuple(values)


def valid(*invalid: int) -> tuple[bool, ...]:
    """Return validity bits, all set but those numbered."""
    return tuple(k not in invalid for k in range(1, 19))


def a_setup(**changed: Any) -> Setup:
    setup = Setup(SetupKind.T1, 1, 0.80, nan, 24_989.0, nan, True)
    return replace(setup, **changed)


def a_context(**changed: Any) -> Context:
    context = Context(
        ts=at("10:30"),
        t_open=at("10:29"),
        session_id=SESSION,
        bar_index=990,
        contract="ESZ25",
        open=24_994,
        high=25_000,
        low=24_993,
        close=24_999,
        volume=1500,
        atr=6.0,
        atr_ref=6.0,
        vr=1.2,
        vwap=24_980.0,
        vwap_sd=20.0,
        phase=Phase.ny_open,
        rth=True,
        t_rth_close=at("16:00"),
        vikings=0.8,
        defenders=0.2,
        golden=0.6,
        golden_state=GoldenState.STRONG_BULLISH,
        score=0.6,
        bn_signal=1,
        bn_strength=1.0,
        bn_confidence=0.6,
        base_quality=0.7,
        base_dir=1,
        active_dir=1,
        active_low=24_984,
        active_high=24_990,
        violated=0,
        regime=Regime.STRONG_TREND_BULL,
        regime_raw=Regime.STRONG_TREND_BULL,
        regime_confidence=0.95,
        regime_changed_at=at("10:00"),
        resistance=nan,
        support=nan,
        features=features(f8=0.5),
        valid=valid(),
        feature_quality=1.0,
        feature_score=0.4,
        tier=Tier.UNRANKED,
        price_score=0.6,
        mtf=0.6,
        mtf_valid=True,
        micro_anomaly=0.0,
        gamma_pin=0.0,
        spread=1,
        options_quality=1.0,
        call_wall=nan,
        put_wall=nan,
        gamma_flip=nan,
        vix=18.0,
        setups=(a_setup(),),
    )
    return context._replace(**changed)


def a_proposal(**changed: Any) -> Proposal:
    """Return what the trend strategy makes of `a_context`: 25,001, stop 12 below, target 24."""
    proposal = Proposal(
        Strategy.TREND, SetupKind.T1, 1, 0.80, OrderType.STOP, 25_001, 24_989, 25_025, 12, 3
    )
    return replace(proposal, **changed)


def some_facts(limits: EffectiveLimits = PAPER, **changed: Any) -> SessionFacts:
    facts = SessionFacts(session_hours(SESSION, limits), news_window=lambda ts: False)
    for name, value in changed.items():
        setattr(facts, name, value)
    return facts


def a_closed_trade(net_pnl: float, **changed: Any) -> ClosedTrade:
    trade = ClosedTrade(
        trade_id="TRADE_20251118_153000_00000001",
        symbol="ES",
        contract="ESZ25",
        strategy=Strategy.TREND,
        kind=SetupKind.T1,
        regime=Regime.STRONG_TREND_BULL,
        session_id=SESSION,
        side=1,
        quantity=1,
        ts_signal=at("10:00"),
        ts_entry=at("10:01"),
        ts_exit=at("10:15"),
        entry=25_001.0,
        exit=25_001.0,
        stop=24_989,
        target=25_025,
        distance=12,
        exit_reason=ExitReason.TARGET if net_pnl > 0 else ExitReason.STOP,
        gross_ticks=0.0,
        gross_pnl=net_pnl,
        costs=0.0,
        net_pnl=net_pnl,
        r_multiple=net_pnl / 150.0,
        mfe_ticks=0,
        mae_ticks=0,
        bars_held=14,
        confidence=0.7,
        slippage_ticks=1.0,
    )
    return replace(trade, **changed)
