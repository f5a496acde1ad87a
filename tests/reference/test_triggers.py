"""Evidence, ES patterns, triggers and levels, by hand: what the vectors do not cover."""

import math
from dataclasses import replace

import pytest

from mia.core.base_types import Regime, SetupKind, Tier
from reference import confluence, evidence, features, setups
from reference.bars import READY_MADE, Bar
from reference.confluence import Level, Zone
from reference.conventions import MINUTE, Sessions
from reference.parameters import parameters
from reference.view import Candle, ValueArea, View

P = parameters()
OPEN = 1709649000 * 10**9  # 2024-03-05 09:30 New York


def candle(o: int, h: int, low: int, c: int, volume: int = 1000, delta: int = 100) -> Candle:
    return Candle(o, h, low, c, volume, delta)


def bar(k: int, o: int, h: int, low: int, c: int, volume: int = 1000) -> Bar:
    t = OPEN + k * MINUTE
    return Bar(20240305, t, t + MINUTE, o, h, low, c, volume, 450, 550, flags=READY_MADE)


def view(candles: list[Candle], **changes: object) -> View:
    """Return a quiet market without a base, zone or level, changed as told."""
    quiet = View(
        candles=candles,
        atr=8.0,
        vr=1.5,
        vwap=[(1000.0, 4.0)] * 3,
        vslope=0.0,
        vslope_valid=True,
        f3=0.0,
        f4=0.0,
        regime=Regime.RANGE_NEUTRAL,
        support=math.nan,
        resistance=math.nan,
        tolerance=math.nan,
        developing=None,
        previous=None,
        zones=(),
        price_score=0.5,
        gamma_flip=math.nan,
        put_wall=math.nan,
        call_wall=math.nan,
        gamma_pin=0.0,
        score=0.0,
        golden=0.0,
        signal=0,
        confidence=0.0,
        base_quality=0.0,
        launched=0,
        base=None,
        pattern=(0.0, 0.0, 0.0, 0.0),
    )
    return replace(quiet, **changes)


def hits(seen: View) -> dict[SetupKind, evidence.Found]:
    return {hit.kind: hit for hit in evidence.es_patterns(seen, P)}


def test_rejection_of_the_value_area_low_targets_the_poc_or_else_the_high() -> None:
    # depth 2 of 8, clv 8/10, dr .1: .30*.75 + .25 + .25*.8 + .10*(2/3)
    last = [candle(1000, 1008, 998, 1006)]
    far = hits(view(last, developing=ValueArea(1030, 1000, 1040)))[SetupKind.P1]
    assert far.quality == pytest.approx(0.225 + 0.25 + 0.2 + 0.2 / 3)
    assert (far.level, far.stop, far.target) == (1000, 996, 1030)
    near = hits(view(last, developing=ValueArea(1015, 1000, 1040)))[SetupKind.P1]
    assert near.target == 1040


def test_rejection_takes_the_stronger_area_and_yields_to_a_bear_trend() -> None:
    last = [candle(1000, 1008, 998, 1006)]
    both = {"developing": ValueArea(1030, 1000, 1040), "previous": ValueArea(1020, 998, 1050)}
    assert hits(view(last, **both))[SetupKind.P1].level == 998
    assert not hits(view(last, regime=Regime.STRONG_TREND_BEAR, **both))
    assert not hits(view([candle(1000, 1008, 998, 1006, delta=-1)], **both))
    absorbed = view([candle(1000, 1008, 998, 1006, delta=-1)], f4=0.31, **both)
    assert SetupKind.P1 in hits(absorbed)


def test_vwap_deviation_needs_a_turn_in_a_flat_market() -> None:
    bars = [candle(993, 994, 989, 990), candle(990, 991, 986, 988), candle(988, 993, 988, 993)]
    hit = hits(view(bars, vr=0.75))[SetupKind.P2]
    # z: -2.5, -3, -1.75; clv 1: .50 + .25*.5 + .15
    assert hit.quality == pytest.approx(0.775)
    assert (hit.level, hit.stop, hit.target) == (1000.0, 984, 1000.0)
    assert not hits(view(bars, vslope=0.25))
    assert not hits(view(bars, vslope_valid=False))
    assert not hits(view(bars[1:]))


def test_flip_momentum_waits_for_the_second_close_beyond_the_flip() -> None:
    bars = [candle(998, 1000, 997, 1000), candle(1000, 1003, 1000, 1002)]
    bars.append(candle(1002, 1006, 1002, 1006, delta=150))
    hit = hits(view(bars, gamma_flip=1000.0))[SetupKind.P3]
    assert hit.quality == pytest.approx(0.4 * 0.75 + 0.3 * 0.75 + 0.3)
    assert (hit.level, hit.stop) == (1000.0, 996.0)
    assert math.isnan(hit.target)
    assert not hits(view(bars, gamma_flip=1000.0, gamma_pin=0.5))
    assert not hits(view(bars, gamma_flip=1002.5))


def test_battle_hit_leaves_its_base_with_a_wide_stop() -> None:
    bullish = {
        "signal": 1,
        "golden": 0.6,
        "confidence": 0.45,
        "score": 0.4,
        "base_quality": 0.8,
        "base": (1000, 1008, 1),
    }
    launched = view([candle(1007, 1010, 1006, 1010)], launched=1, **bullish)
    hit = hits(launched)[SetupKind.P4]
    assert hit.quality == pytest.approx(0.6 * 0.8 + 0.4 * 0.8)
    assert (hit.level, hit.stop) == (1008, 996)
    # back at the base's low: 10 ticks from a buy stop at 1003 lie below low - 4
    low = view([candle(1001, 1002, 1000, 1002)], pattern=(0.61, 0, 0, 0), **bullish)
    assert hits(low)[SetupKind.P4].stop == 993
    assert not hits(replace(low, pattern=(0.6, 0, 0, 0)))
    assert not hits(replace(launched, base=None))


def test_confluence_bounce_aims_at_the_next_zone_that_pays() -> None:
    def zone(low: float, high: float, kinds: int, score: float) -> Zone:
        return Zone(low, high, score, kinds, kinds, "STRONG", (low + high) / 2)

    zones = [zone(990, 996, 3, 0.3), zone(1008, 1009, 2, 0.3), zone(1030, 1031, 1, 0.2)]
    zones += [zone(1040, 1041, 2, 0.3)]
    seen = view([candle(994, 1002, 993, 1001)], zones=zones, score=0.2)
    hit = hits(seen)[SetupKind.P5]
    assert hit.quality == pytest.approx(0.4 * 0.6 + 0.3 * 0.5 + 0.3 * 0.5)
    assert (hit.level, hit.stop, hit.target) == (993.0, 987, 1040)
    assert math.isnan(hits(replace(seen, zones=zones[:3]))[SetupKind.P5].target)
    assert not hits(replace(seen, score=-0.36))


def test_pullback_measures_the_leg_from_the_lowest_low_before_its_top() -> None:
    rise = [candle(1000 + k, 1002 + k, 999 + k, 1001 + k) for k in range(25)]
    fall = [candle(1025 - 3 * k, 1026 - 3 * k, 1021 - 3 * k, 1022 - 3 * k) for k in range(4)]
    turn = candle(1013, 1018, 1013, 1018, volume=1200)
    trend = view([*rise, *fall, turn], regime=Regime.WEAK_TREND_BULL, atr=6.0)
    (hit,) = setups.triggers(trend, P)
    # top 1026 at bar 24, bottom 1003 at bar 4, pullback to 1012: 14/23
    assert (hit.kind, hit.stop) == (SetupKind.T1, 1010)
    assert hit.quality == pytest.approx((0.4 + 0.3) / 0.9)
    (held,) = setups.triggers(replace(trend, put_wall=1013.5), P)
    assert held.quality == pytest.approx(1.0)
    assert not list(setups.triggers(replace(trend, regime=Regime.WEAK_TREND_BEAR), P))
    assert not list(setups.triggers(replace(trend, atr=12.0), P))


def test_breakout_needs_a_strong_trend_volume_and_a_new_high() -> None:
    bars = [candle(1000, 1010, 995, 1000)] * 20 + [candle(1005, 1011, 1005, 1011)]
    strong = view(bars, regime=Regime.STRONG_TREND_BULL, score=0.25)
    (hit,) = setups.triggers(strong, P)
    assert (hit.kind, hit.stop, hit.quality) == (SetupKind.T2, 993, pytest.approx(0.625))
    assert not list(setups.triggers(replace(strong, vr=1.49), P))
    assert not list(setups.triggers(replace(strong, candles=bars[1:]), P))


def test_range_edge_takes_the_best_confirmation() -> None:
    edge = view(
        [candle(1001, 1005, 999, 1004)],
        support=1000.0,
        resistance=1030.0,
        tolerance=2.0,
        score=0.45,
        f4=0.31,
        atr=20.0,
    )
    (hit,) = setups.triggers(edge, P)
    assert hit.kind == SetupKind.R1
    assert hit.quality == pytest.approx(0.4 * 0.75 + 0.3 + 0.15)
    assert (hit.stop, hit.target) == (995.0, 1029.0)
    assert not list(setups.triggers(replace(edge, score=0.4, f4=0.3), P))
    assert not list(setups.triggers(replace(edge, regime=Regime.RANGE_BEARISH_BIAS), P))


def test_selector_waits_without_a_regime_and_ignores_what_is_not_traded() -> None:
    weak = [(SetupKind.P1, 1, 0.6, 1000.0, 990.0, 1020.0, 0)]
    good = [(SetupKind.P1, 1, 0.8, 1000.0, 990.0, 1020.0, 1)]
    assert setups.select(Regime.UNCLEAR, good) == setups.REGIME_WAIT
    assert setups.select(Regime.RANGE_NEUTRAL, weak) == setups.NO_SETUP
    assert setups.select(Regime.RANGE_NEUTRAL, good) == setups.SELECTED
    assert setups.select(Regime.RANGE_BEARISH_BIAS, good) == setups.NO_SETUP


def test_a_hit_is_reported_again_after_its_wait_or_at_another_level() -> None:
    memory = evidence.Reported(P)
    assert memory.is_news(SetupKind.P1, 1, 1000.0, OPEN)
    assert not memory.is_news(SetupKind.P1, 1, 1004.0, OPEN + 14 * MINUTE)
    assert memory.is_news(SetupKind.P1, -1, 1000.0, OPEN)
    assert memory.is_news(SetupKind.P1, 1, 1004.5, OPEN + MINUTE)
    assert memory.is_news(SetupKind.P1, 1, 1000.0, OPEN + 16 * MINUTE)


def test_gamma_pin_holds_at_a_wall_and_more_so_in_quiet() -> None:
    bars = [bar(k, 1000, 1001, 999, 1000) for k in range(5)]
    bars.append(bar(5, 1000, 1002, 1000, 1002, volume=500))
    walls = (1004.0, math.nan)
    # 2 of 5 ticks away: .6*.5, and 1.2 times that below .7 of the usual volume
    assert evidence.gamma_pin(bars, 8.0, 0.5, True, walls) == pytest.approx(0.36)
    assert evidence.gamma_pin(bars[1:], 8.0, 0.5, True, walls) == pytest.approx(0.30)
    assert evidence.gamma_pin(bars, 8.0, -0.5, True, walls) == 0.0
    assert evidence.gamma_pin(bars, 8.0, 0.5, False, walls) == 0.0


def test_micro_anomaly_is_the_largest_of_its_terms() -> None:
    bars = [bar(k, 1000, 1001, 999, 1000, volume=1000 + 10 * (k % 2)) for k in range(20)]
    loud = [*bars, bar(20, 1000, 1001, 999, 1000, volume=1030)]
    assert evidence.micro_anomaly(loud, 0.2) == pytest.approx(5 / 6)
    assert evidence.micro_anomaly(loud[1:], 0.2) == 0.2
    assert evidence.micro_anomaly([*bars, bars[0]], 0.0) == 0.0


def test_touches_count_arrivals_in_regular_hours() -> None:
    session = Sessions().of(OPEN)
    spans = [(-2, 1000, 995), (-1, 990, 985), (0, 998, 995), (1, 999, 996), (2, 997, 990)]
    spans += [(3, 1002, 999)]
    path = [bar(k, low, high, low, high) for k, high, low in spans]
    assert confluence.touches(1000.0, path, session) == 2


def test_round_level_is_the_nearest_and_of_equals_the_lower() -> None:
    def nearest(close: int) -> Level:
        session = Sessions().of(OPEN)
        source = confluence.LevelSources(
            t=OPEN,
            close=close,
            session=session,
            profile=None,
            nodes=(),
            vwap=None,
            previous=None,
            session_range=(close, close),
            overnight=None,
            options=confluence.Options(),
            earlier=(),
        )
        return next(level for level in confluence.levels(source) if level.family == "round")

    assert (nearest(16040).kind, nearest(16040).price) == ("round_100", 16000)
    assert (nearest(16050).kind, nearest(16050).price) == ("round_100", 16000)
    assert (nearest(16051).kind, nearest(16051).price) == ("round_25", 16100)


def test_tier_ranks_among_the_last_twenty_sessions() -> None:
    ranking = features.TierRanking(P)
    for session in range(21):
        for k in range(100):
            ranking.add(99.0 if session == 0 else k / 100)
        ranking.end_session()
        expected = Tier.UNRANKED if session < 4 else Tier.PREMIUM
        assert ranking.tier(-99.0) is expected
    assert [ranking.tier(x) for x in (0.96, 0.95, 0.89, 0.79, 0.78)] == [
        Tier.PREMIUM,
        Tier.STRONG,
        Tier.STRONG,
        Tier.WEAK,
        Tier.NONE,
    ]
