"""Triggers T1, T2, R1 and the selector (sections 13 and 15.1)."""

import math
from collections.abc import Iterator, Sequence
from types import SimpleNamespace

from mia.core.base_types import Regime, SetupKind
from reference.conventions import ceil_tol, clip, ge, gt, le, mean
from reference.evidence import Found
from reference.regime import permitted
from reference.view import View

SELECTED, REGIME_WAIT, NO_SETUP = 0, 1, 2

Setup = tuple[int, int, float, float, float, float, int]
"""kind, side, quality, level, stop, target, traded"""


def _stop(view: View, p: SimpleNamespace) -> int:
    return min(candle.low for candle in view.candles[-p.trend_stop_bars :]) - 2


def pullback(view: View, p: SimpleNamespace) -> Found | None:
    """T1."""
    c, span = view.candles, p.trend_leg_bars
    i = len(c) - 1
    if i + 1 < span:
        return None
    ib = max(range(i + 1 - span, i + 1), key=lambda k: (c[k].high, k))
    if not 1 <= i - ib <= 12:
        return None
    ia = min(range(max(0, ib - span), ib + 1), key=lambda k: (c[k].low, -k))
    leg = c[ib].high - c[ia].low
    if not ge(leg, max(8.0, p.trend_leg_atr * view.atr)):
        return None
    bottom = min(candle.low for candle in c[ib + 1 :])
    retr = (c[ib].high - bottom) / leg
    if not (ge(retr, p.trend_retr_min) and le(retr, p.trend_retr_max)):
        return None
    if not (c[i].green and c[i].close > c[i - 1].high):
        return None
    near = max(2.0, 0.15 * view.atr)
    supports = [view.vwap[-1][0], view.put_wall]
    if view.developing is not None:
        supports.append(view.developing.poc)
    held = any(not math.isnan(price) and le(abs(price - bottom), near) for price in supports)
    busy = gt(c[i].volume, 1.1 * mean([candle.volume for candle in c[-11:-1]]))
    quality = 0.4 if ge(retr, 0.35) and le(retr, 0.65) else 0.2
    quality = (quality + 0.3 * busy + 0.2 * held) / 0.9
    return Found(SetupKind.T1, quality, math.nan, _stop(view, p), math.nan)


def breakout(view: View, p: SimpleNamespace) -> Found | None:
    """T2."""
    c = view.candles
    earlier = c[-21:-1]
    if view.regime is not Regime.STRONG_TREND_BULL or len(earlier) < 20:
        return None
    if not (c[-1].close > max(candle.high for candle in earlier) and ge(view.vr, 1.5)):
        return None
    quality = 0.5 * min(view.vr / 2, 1.0) + 0.5 * min(view.score / 0.5, 1.0)
    return Found(SetupKind.T2, clip(quality, 0.0, 1.0), math.nan, _stop(view, p), math.nan)


def range_edge(view: View, p: SimpleNamespace) -> Found | None:
    """R1."""
    bar, support = view.candles[-1], view.support
    if math.isnan(support):
        return None
    if not (le(bar.low, support + view.tolerance) and ge(bar.close, support) and bar.green):
        return None
    confirming = []
    if gt(view.bullish_pattern, p.range_confirm_pattern):
        confirming.append(view.bullish_pattern)
    if gt(view.score, p.range_confirm_bn):
        confirming.append(min(view.score / 0.6, 1.0))
    if gt(view.f4, p.range_confirm_f4):
        confirming.append(view.f4)
    if not confirming:
        return None
    quality = 0.4 * max(confirming) + 0.3 * min(view.vr / 1.5, 1.0) + 0.3 * view.price_score
    stop = min(support, bar.low) - max(3, ceil_tol(0.2 * view.atr))
    return Found(SetupKind.R1, quality, support, stop, view.resistance - 1)


def triggers(view: View, p: SimpleNamespace) -> Iterator[Found]:
    """Yield T1, T2 or R1 of a LONG view whose regime permits them."""
    if not permitted(view.regime, 1):
        return
    family = {"TREND": (pullback, breakout), "RANGE": (range_edge,)}[view.regime.family]
    for trigger in family:
        found = trigger(view, p)
        if found is not None:
            yield found


def from_side(found: Found, side: int, traded: bool) -> Setup:
    """Turn a trigger seen from its side into market prices."""
    return (
        found.kind,
        side,
        found.quality,
        side * found.level,
        side * found.stop,
        side * found.target,
        int(traded),
    )


_USED = {
    "TREND": {SetupKind.T1, SetupKind.T2, SetupKind.P1, SetupKind.P3, SetupKind.P4, SetupKind.P5},
    "RANGE": {SetupKind.R1, SetupKind.P1, SetupKind.P2, SetupKind.P5},
}


def select(regime: Regime, setups: Sequence[Setup]) -> int:
    """Return why the selected strategy has nothing to propose, 0 if it has."""
    used = _USED.get(regime.family)
    if used is None:
        return REGIME_WAIT
    for kind, side, *_, traded in setups:
        if traded and kind in used and permitted(regime, side):
            return SELECTED
    return NO_SETUP
