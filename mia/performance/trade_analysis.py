"""What the trades of a run say: results in R, excursions, streaks, costs, activity."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from mia.config.instruments import instrument
from mia.core import risk_measures
from mia.core.statistics import wilson_interval
from mia.core.trading_types import ClosedTrade
from mia.performance.figures import bounds, finite, mean, numbers, quantiles, ratio

MINUTE = 60_000_000_000


def r_figures(trades: Sequence[ClosedTrade]) -> dict[str, Any]:
    """Describe the distribution of net results in R, and the curve of their sum."""
    r = numbers(trade.r_multiple for trade in trades)
    curve = np.concatenate([np.zeros(1), np.cumsum(r)])
    wins, losses = r[r > 0.0], r[r < 0.0]
    mean_win, mean_loss = mean(wins), mean(losses)
    payoff = None if mean_win is None or mean_loss is None else ratio(mean_win, -mean_loss)
    return {
        "trades": len(r),
        "sum": float(np.sum(r)),
        "deepest_fall": float(np.max(np.maximum.accumulate(curve) - curve)),
        "mean": mean(r),
        "standard_deviation": finite(np.std(r, ddof=1)) if len(r) > 1 else None,
        "skewness": finite(risk_measures.skewness(r)),
        "best": finite(np.max(r)) if len(r) else None,
        "worst": finite(np.min(r)) if len(r) else None,
        **quantiles(r),
        "winners": len(wins),
        "losers": len(losses),
        "mean_win": mean_win,
        "mean_loss": mean_loss,
        "payoff": payoff,
        "kelly_fraction": finite(risk_measures.kelly(r)),
    }


def excursion_figures(trades: Sequence[ClosedTrade]) -> dict[str, Any]:
    """Describe best and worst open profits, in units of the distance to the first stop.

    ``given_back_r`` is the best open profit less the result before costs; ``captured`` is the
    share of the best open profits that winners kept; ``edge_ratio`` the mean best over the mean
    worst open profit.
    """
    known = [trade for trade in trades if trade.distance > 0]
    distance = np.array([trade.distance for trade in known], dtype=np.float64)
    best = np.maximum([trade.mfe_ticks for trade in known], 0.0) / distance
    worst = np.maximum([-trade.mae_ticks for trade in known], 0.0) / distance
    gross = np.array([trade.gross_ticks for trade in known], dtype=np.float64) / distance
    won = np.array([trade.net_pnl > 0.0 for trade in known], dtype=np.bool_)
    lost = np.array([trade.net_pnl < 0.0 for trade in known], dtype=np.bool_)
    ahead = int(np.sum(best[lost] >= 1.0))
    losers = int(np.sum(lost))
    return {
        "trades": len(known),
        "best_r": {"mean": mean(best), **quantiles(best)},
        "worst_r": {"mean": mean(worst), **quantiles(worst)},
        "worst_r_of_winners": {"mean": mean(worst[won]), **quantiles(worst[won])},
        "given_back_r": {"mean": mean(best - gross), **quantiles(best - gross)},
        "captured": ratio(float(np.sum(gross[won])), float(np.sum(best[won]))),
        "edge_ratio": ratio(float(np.sum(best)), float(np.sum(worst))),
        "losers": losers,
        "losers_once_ahead_by_r": ahead,
        "losers_once_ahead_by_r_wilson_95": bounds(wilson_interval(ahead, losers)),
    }


def streak_figures(trades: Sequence[ClosedTrade]) -> dict[str, Any]:
    """Describe runs of winners and of losers in the order of their exits."""
    found = risk_measures.streaks(numbers(trade.net_pnl for trade in trades))
    return {
        "longest_wins": found.longest_wins,
        "longest_losses": found.longest_losses,
        "current": found.current,
        "runs": found.runs,
        "runs_z": finite(found.z),
    }


def cost_figures(trades: Sequence[ClosedTrade]) -> dict[str, Any]:
    """Set commissions and slippage against what the winners gained before costs.

    Slippage lies in the prices of the fills, so it is part of the gross result already.
    """
    slips = numbers(trade.slippage_ticks for trade in trades)
    slippage = float(
        sum(
            numbers(t.slippage_ticks * instrument(t.symbol).tick_value * t.quantity for t in trades)
        )
    )
    costs = float(sum(trade.costs for trade in trades))
    gains = float(sum(trade.gross_pnl for trade in trades if trade.gross_pnl > 0.0))
    n = len(trades)
    return {
        "trades": n,
        "commissions_usd": costs,
        "slippage_usd": finite(slippage),
        "commissions_usd_per_trade": ratio(costs, n),
        "slippage_usd_per_trade": ratio(slippage, n),
        "gross_gains_usd": gains,
        "commissions_share_of_gains": ratio(costs, gains),
        "slippage_share_of_gains": ratio(slippage, gains),
        "slippage_ticks": {"mean": mean(slips), **quantiles(slips)},
    }


def activity_figures(
    trades: Sequence[ClosedTrade], sessions: Sequence[int], bars: int
) -> dict[str, Any]:
    """Describe how often and for how long there was a position.

    Parameters
    ----------
    sessions : sequence of int
        Sessions with data.
    bars : int
        Primary bars evaluated.
    """
    traded = {trade.session_id for trade in trades}
    minutes = numbers((trade.ts_exit - trade.ts_entry) / MINUTE for trade in trades)
    held = {
        side: sum(trade.bars_held for trade in trades if trade.side == side) for side in (1, -1)
    }
    return {
        "trades_per_session": ratio(len(trades), len(sessions)),
        "trades_per_traded_session": ratio(len(trades), len(traded)),
        "traded_share_of_sessions": ratio(len(traded), len(sessions)),
        "longest_silence_sessions": _longest_silence(traded, sessions),
        "minutes_held": {"mean": mean(minutes), **quantiles(minutes)},
        "long_share_of_bars": ratio(held[1], bars),
        "short_share_of_bars": ratio(held[-1], bars),
        "contracts_mean": mean(numbers(trade.quantity for trade in trades)),
    }


def _longest_silence(traded: set[int], sessions: Sequence[int]) -> int:
    longest = silent = 0
    for sid in sorted(sessions):
        silent = 0 if sid in traded else silent + 1
        longest = max(longest, silent)
    return longest
