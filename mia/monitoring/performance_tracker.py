"""How the trades go while they happen: by strategy, by regime, and against what was promised."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from prometheus_client.core import GaugeMetricFamily, Metric

from mia.core.statistics import max_drawdown, wilson_interval
from mia.core.trading_types import ClosedTrade

ALL = "ALL"
"""Name of the group of all trades."""

Figure = Literal["win_rate", "expectancy_r", "drawdown_usd", "slippage_ticks"]


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What is worth an alert.

    Attributes
    ----------
    min_trades : int
        With fewer trades in a group nothing is said of it.
    win_rate : float
        Below it with 95 % confidence: the whole Wilson interval lies lower.
    expectancy_r : float
        Mean net R that is too low.
    drawdown_usd : float
        Fall from the highest sum of results, USD; 0 never alerts.
    slippage_ticks : float
        Mean slippage in ticks that is too much.
    """

    min_trades: int = 20
    win_rate: float = 0.40
    expectancy_r: float = -0.10
    drawdown_usd: float = 0.0
    slippage_ticks: float = 1.5


@dataclass(frozen=True, slots=True)
class Standing:
    """A group of trades.

    Attributes
    ----------
    strategy, regime : str
        `ALL`, or the name of that to which it is confined.
    win_low, win_high : float
        95 % Wilson interval of the win rate.
    drawdown_usd : float
        Deepest fall of the running sum of net results, USD, positive.
    wait_s : float
        Mean time from decision to first fill, seconds.
    """

    strategy: str
    regime: str
    trades: int
    wins: int
    win_low: float
    win_high: float
    expectancy_r: float
    net_pnl_usd: float
    drawdown_usd: float
    slippage_ticks: float
    wait_s: float

    @property
    def win_rate(self) -> float:
        """Share of trades with a net profit."""
        return self.wins / self.trades


@dataclass(frozen=True, slots=True)
class Breach:
    """A figure beyond its threshold."""

    standing: Standing
    figure: Figure
    value: float
    limit: float

    def __str__(self) -> str:
        """Say it in one line."""
        who = self.standing
        names = [name for name in (who.strategy, who.regime) if name != ALL]
        of = " in ".join(names) or "all trades"
        return (
            f"{self.figure} of {of} is {self.value:.2f}, the limit is {self.limit:.2f} "
            f"({who.trades} trades, {who.wins} won)"
        )


class PerformanceTracker:
    """Keeps the closed trades of an account and says how they stand.

    Parameters
    ----------
    thresholds : Thresholds
    """

    def __init__(self, thresholds: Thresholds | None = None) -> None:
        self._thresholds = thresholds or Thresholds()
        self._groups: dict[tuple[str, str], list[ClosedTrade]] = {}

    def add(self, trades: Iterable[ClosedTrade]) -> None:
        """Take trades in the order in which they were closed."""
        for trade in trades:
            strategy, regime = trade.strategy.value, trade.regime.name
            for group in ((ALL, ALL), (strategy, ALL), (ALL, regime), (strategy, regime)):
                self._groups.setdefault(group, []).append(trade)

    def standings(self) -> list[Standing]:
        """Return every group that has trades, the whole first."""
        keys = sorted(self._groups, key=lambda key: (key != (ALL, ALL), key))
        return [_standing(*key, self._groups[key]) for key in keys]

    def breaches(self) -> list[Breach]:
        """Return the figures that are beyond their thresholds now."""
        limits = self._thresholds
        found = []
        for who in self.standings():
            if who.trades < limits.min_trades:
                continue
            judged: tuple[tuple[Figure, float, float, bool], ...] = (
                ("win_rate", who.win_rate, limits.win_rate, who.win_high < limits.win_rate),
                (
                    "expectancy_r",
                    who.expectancy_r,
                    limits.expectancy_r,
                    who.expectancy_r < limits.expectancy_r,
                ),
                (
                    "drawdown_usd",
                    who.drawdown_usd,
                    limits.drawdown_usd,
                    0.0 < limits.drawdown_usd < who.drawdown_usd,
                ),
                (
                    "slippage_ticks",
                    who.slippage_ticks,
                    limits.slippage_ticks,
                    who.slippage_ticks > limits.slippage_ticks,
                ),
            )
            found += [Breach(who, name, value, limit) for name, value, limit, bad in judged if bad]
        return found

    def metrics(self) -> Iterator[Metric]:
        """Yield the standings as gauges by strategy and regime."""
        labels = ["strategy", "regime"]
        families = {
            "trades": GaugeMetricFamily("mia_closed_trades", "In the account.", labels=labels),
            "win_rate": GaugeMetricFamily("mia_win_rate", "Net profit, share.", labels=labels),
            "win_low": GaugeMetricFamily("mia_win_rate_low", "95 % Wilson bound.", labels=labels),
            "win_high": GaugeMetricFamily("mia_win_rate_high", "95 % Wilson bound.", labels=labels),
            "expectancy_r": GaugeMetricFamily("mia_expectancy_r", "Mean net R.", labels=labels),
            "net_pnl_usd": GaugeMetricFamily("mia_net_pnl_usd", "Sum of results.", labels=labels),
            "drawdown_usd": GaugeMetricFamily("mia_drawdown_usd", "Deepest fall.", labels=labels),
            "slippage_ticks": GaugeMetricFamily("mia_slippage_ticks", "Mean.", labels=labels),
            "wait_s": GaugeMetricFamily(
                "mia_decision_to_fill_seconds", "Mean of trades.", labels=labels
            ),
        }
        for who in self.standings():
            for name, family in families.items():
                family.add_metric([who.strategy, who.regime], float(getattr(who, name)))
        yield from families.values()


def _standing(strategy: str, regime: str, trades: list[ClosedTrade]) -> Standing:
    net = np.array([trade.net_pnl for trade in trades])
    wins = int(np.sum(net > 0.0))
    low, high = wilson_interval(wins, len(trades))
    waits = [(trade.ts_entry - trade.ts_signal) / 1e9 for trade in trades]
    return Standing(
        strategy,
        regime,
        len(trades),
        wins,
        low,
        high,
        float(np.mean([trade.r_multiple for trade in trades])),
        float(np.sum(net)),
        max_drawdown(np.concatenate(([0.0], np.cumsum(net)))).usd,
        float(np.mean([trade.slippage_ticks for trade in trades])),
        float(np.mean(waits)),
    )
