"""Features F1 to F4, F7, F8 and F15 to F18, quality, score and tier (section 8)."""

from collections import deque
from collections.abc import Sequence
from types import SimpleNamespace

from mia.core.base_types import Regime, Tier
from reference.bars import Bar, Trade
from reference.conventions import SECOND, clip, ge, lt, mean, pos, rank_hi, ratio, sgn
from reference.statistics import Statistics

NEUTRAL = (0.0,) * 16 + (0.5, 0.0)
"""Values of F1 to F18 while invalid; F18 is always valid."""

Value = tuple[float, bool]


def cvd_trend(bars: Sequence[Bar], p: SimpleNamespace) -> Value:
    """F1."""
    window = bars[-p.feat_f1_bars :]
    if len(window) < p.feat_f1_min_bars or not any(b.flow_ok for b in window):
        return 0.0, False
    share = sum(b.delta for b in window) / sum(b.volume for b in window)
    return clip(share / p.feat_f1_scale, -1.0, 1.0), True


def bar_delta(bar: Bar, p: SimpleNamespace) -> Value:
    """F2."""
    if not bar.flow_ok:
        return 0.0, False
    return clip(p.feat_f2_gain * bar.delta / bar.volume, -1.0, 1.0), True


def _fit(y: Sequence[float]) -> tuple[float, float]:
    """Return slope and R2 of the least squares line on 0, 1, 2, ..."""
    n = len(y)
    x_mean, y_mean = (n - 1) / 2, mean(y)
    sxx = sum((x - x_mean) ** 2 for x in range(n))
    sxy = sum((x - x_mean) * (v - y_mean) for x, v in enumerate(y))
    syy = sum((v - y_mean) ** 2 for v in y)
    return sxy / sxx, ratio(sxy * sxy, sxx * syy)


def delta_divergence(
    bars: Sequence[Bar], cvd: Sequence[int], atr: float, p: SimpleNamespace
) -> Value:
    """F3; `cvd` has one value per bar of the session."""
    n = p.feat_f3_bars
    if len(bars) < n or not bars[-1].flow_ok:
        return 0.0, False
    window = bars[-n:]
    bp, price_r2 = _fit([b.close for b in window])
    bc, cvd_r2 = _fit(cvd[-n:])
    if not (ge(price_r2, p.feat_f3_r2) and ge(cvd_r2, p.feat_f3_r2) and lt(bp * bc, 0.0)):
        return 0.0, True
    full = p.feat_f3_scale * sum(b.volume for b in window)
    return -sgn(bp) * min(10 * abs(bp) / atr, 1.0) * min(10 * abs(bc) / full, 1.0), True


def absorption(bar: Bar, stats: Statistics, p: SimpleNamespace) -> Value:
    """F4."""
    if not (bar.flow_ok and stats.vr_valid and stats.atr_valid):
        return 0.0, False
    effort = min(abs(bar.delta / bar.volume) / p.feat_f4_scale, 1.0)
    activity = clip(stats.vr - 1.0, 0.0, 1.0)
    body = min(abs(bar.close - bar.open) / (p.feat_f4_body_atr * stats.atr), 1.0)
    return -sgn(bar.delta) * effort * activity * (1.0 - body), True


class TradeFlow:
    """F7 and F8 from the trades of closed bars of one session."""

    def __init__(self, p: SimpleNamespace) -> None:
        self._p = p
        self._price: int | None = None
        self._newest: deque[tuple[int, int]] = deque(maxlen=p.feat_f7_trades)
        self._large: list[tuple[int, int, int]] = []

    def add(self, trade: Trade) -> None:
        """Add one trade of a bar that is closing."""
        last = trade.price if self._price is None else self._price
        self._newest.append((sgn(trade.price - last) or trade.side, trade.size))
        self._price = trade.price
        if trade.size >= self._p.feat_f8_min_lots and trade.side:
            self._large.append((trade.ts, trade.size, trade.side))

    def forget(self) -> None:
        """Forget what F7 looks back at: trades after it are missing."""
        self._price = None
        self._newest.clear()

    def tick_momentum(self) -> Value:
        """F7."""
        n = self._p.feat_f7_trades
        if len(self._newest) < n:
            return 0.0, False
        signs = sum(u for u, _ in self._newest) / n
        total = sum(size for _, size in self._newest)
        return 0.4 * signs + 0.6 * sum(u * size for u, size in self._newest) / total, True

    def smart_money(self, t_close: int) -> float:
        """F8."""
        p = self._p
        start = t_close - p.feat_f8_window_s * SECOND
        net = total = 0
        for ts, size, side in self._large:
            if ts > start:
                weight = 2 * size if size >= p.feat_f8_block_lots else size
                net += side * weight
                total += weight
        return ratio(net, total) * min(total / p.feat_f8_norm, 1.0)


def market_regime(regime: Regime, strength: float) -> float:
    """F15."""
    if regime in {Regime.STRONG_TREND_BULL, Regime.STRONG_TREND_BEAR}:
        return regime.side * (0.85 + 0.15 * strength)
    if regime in {Regime.WEAK_TREND_BULL, Regime.WEAK_TREND_BEAR}:
        return regime.side * (0.50 + 0.20 * strength)
    return regime.side * 0.30


def vwap_trend(
    close: int, vwap: float, sd: float, vslope: float, atr: float, p: SimpleNamespace
) -> float:
    """F16."""
    slope = clip(vslope / atr / p.feat_f16_slope_atr, -1.0, 1.0)
    return 0.5 * slope + 0.5 * clip((close - vwap) / (2.0 * max(sd, 1.0)), -1.0, 1.0)


def _correlation(x: Sequence[float], y: Sequence[float]) -> float:
    x_mean, y_mean = mean(x), mean(y)
    sxx = sum((v - x_mean) ** 2 for v in x)
    syy = sum((v - y_mean) ** 2 for v in y)
    sxy = sum((a - x_mean) * (b - y_mean) for a, b in zip(x, y, strict=True))
    return sxy / (sxx * syy) ** 0.5 if sxx and syy else 0.0


def volume_confirmation(bars: Sequence[Bar], stats: Statistics, p: SimpleNamespace) -> Value:
    """F17."""
    bar = bars[-1]
    if not (stats.vr_valid and bar.flow_ok):
        return 0.5, False
    pairs = range(max(1, len(bars) - p.feat_f17_corr_bars), len(bars))
    corr = 0.0
    if len(pairs) >= p.feat_f17_corr_min:
        moves = [abs(bars[j].close - bars[j - 1].close) for j in pairs]
        corr = _correlation(moves, [bars[j].volume for j in pairs])
    value = 0.45 * min(stats.vr / p.feat_f17_vr, 1.0) + 0.20 * pos(corr)
    value += 0.25 * min(p.feat_f17_delta_gain * abs(bar.delta) / bar.volume, 1.0)
    if bar.ready_made:
        return value / 0.90, True
    return value + 0.10 * min(p.feat_f17_large_gain * bar.large_volume / bar.volume, 1.0), True


def quality(valid: Sequence[bool], p: SimpleNamespace, options_quality: float = 0.0) -> float:
    """Return the share of the expected features that are valid; stale options are not expected."""
    expected = {1, 2, 3, 4, 15, 16, 17, 18}
    expected |= {5, 7, 8} if p.sources_trades else set()
    expected |= {6} if p.sources_book else set()
    expected |= set(range(9, 15)) if p.sources_options and ge(options_quality, 0.2) else set()
    return sum(valid[k - 1] for k in expected) / len(expected)


def score(features: Sequence[float]) -> float:
    """Return the feature score of section 8.4 from F1 to F18."""
    f = (0.0, *features)
    trend_gain = 1.0 - 0.3 * f[9]
    amp = (1.0 - 0.15 * pos(f[13])) * (1.0 - 0.15 * pos(f[14]))
    flow = 0.10 * f[1] + 0.06 * f[2] + 0.07 * f[3] + 0.07 * f[4]
    flow += 0.06 * f[5] + 0.06 * f[6] + 0.04 * f[7] + 0.09 * f[8]
    options = 0.06 * f[10] - 0.08 * f[11] * pos(f[9]) + 0.06 * f[12]
    context = trend_gain * (0.12 * f[15] + 0.13 * f[16])
    total = clip(flow + options + context, -1.0, 1.0)
    return total * (0.7 + 0.3 * f[17]) * (0.6 + 0.4 * f[18]) * amp


class TierRanking:
    """Ranks scores against the regular hours of the last 20 sessions."""

    def __init__(self, p: SimpleNamespace) -> None:
        self._p = p
        self.sessions: deque[list[float]] = deque(maxlen=20)
        self._current: list[float] = []

    def add(self, value: float) -> None:
        """Note the score of an RTH bar of the current session."""
        self._current.append(abs(value))

    def end_session(self) -> None:
        """Let the session's scores, if it had any, enter the window."""
        if self._current:
            self.sessions.append(self._current)
        self._current = []

    def tier(self, value: float) -> Tier:
        past = [v for session in self.sessions for v in session]
        if len(past) < self._p.feat_tier_min:
            return Tier.UNRANKED
        for q, tier in ((97, Tier.PREMIUM), (90, Tier.STRONG), (80, Tier.WEAK)):
            if ge(abs(value), rank_hi(past, q)):
                return tier
        return Tier.NONE
