"""Figures of a run, each with its sample size and uncertainty."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from mia.core import sessions as calendar
from mia.core import statistics
from mia.core.overfitting import Overfitting, Trials
from mia.core.statistics import Floats
from mia.core.trading_types import ClosedTrade
from mia.performance import session_analysis, trade_analysis
from mia.performance.figures import finite
from mia.performance.recorder import RunRecord

NEW_YORK = ZoneInfo("America/New_York")
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What the trades do not tell about a run.

    Attributes
    ----------
    rows : int
        Rows of the source: trades or bars.
    bars : int
        Primary bars evaluated.
    ticks : int
        Trades applied; 0 for ready-made bars.
    seconds : float
        Wall time of the run itself, without loading.
    start_equity : float
        USD.
    waits, no_setups : int
        Closes without a tradable regime, and without a setup.
    identity : mapping of str to str
        Hashes of configuration and data, version of the code, names of the sources.
    """

    rows: int
    bars: int
    ticks: int
    seconds: float
    start_equity: float
    waits: int
    no_setups: int
    identity: Mapping[str, Any]


def daily_pnl(record: RunRecord) -> Floats:
    """Return the net USD of every session with data, flat ones included, in order."""
    return np.array(list(session_pnl(record).values()), dtype=np.float64)


def session_pnl(record: RunRecord) -> dict[int, float]:
    """Return the net USD of every session with data or with a trade, in order."""
    by_session = dict.fromkeys(record.sessions, 0.0)
    for trade in record.trades:
        by_session[trade.session_id] = by_session.get(trade.session_id, 0.0) + trade.net_pnl
    return {sid: by_session[sid] for sid in sorted(by_session)}


def equity_curve(record: RunRecord, start_equity: float) -> Floats:
    """Return the marked equity in USD, from the start on."""
    return np.array([start_equity, *(mark[2] for mark in record.marks)], dtype=np.float64)


def trade_figures(trades: Sequence[ClosedTrade]) -> dict[str, Any]:
    """Summarise trades: counts, win rate, expectancy, costs; None where undefined."""
    n = len(trades)
    net = np.array([trade.net_pnl for trade in trades], dtype=np.float64)
    r = np.array([trade.r_multiple for trade in trades], dtype=np.float64)
    sessions = np.array([trade.session_id for trade in trades], dtype=np.int64)
    wins = int(np.sum(net > 0.0))
    low, high = statistics.wilson_interval(wins, n)
    r_low, r_high = statistics.mean_interval(r, sessions) if n else (np.nan, np.nan)
    return {
        "trades": n,
        "wins": wins,
        "win_rate": wins / n if n else None,
        "win_rate_wilson_95": [low, high],
        "profit_factor": finite(statistics.profit_factor(net)) if n else None,
        "expectancy_r": finite(np.mean(r)) if n else None,
        "expectancy_r_95": [finite(r_low), finite(r_high)],
        "expectancy_usd": float(np.mean(net)) if n else None,
        "net_pnl_usd": float(np.sum(net)),
        "gross_pnl_usd": float(sum(trade.gross_pnl for trade in trades)),
        "costs_usd": float(sum(trade.costs for trade in trades)),
        "slippage_ticks_mean": (
            finite(np.mean([trade.slippage_ticks for trade in trades])) if n else None
        ),
        "bars_held_mean": float(np.mean([trade.bars_held for trade in trades])) if n else None,
    }


def _grouped(
    trades: Sequence[ClosedTrade], key: Callable[[ClosedTrade], str]
) -> dict[str, dict[str, Any]]:
    groups: dict[str, list[ClosedTrade]] = defaultdict(list)
    for trade in trades:
        groups[key(trade)].append(trade)
    return {name: trade_figures(groups[name]) for name in sorted(groups)}


def entry_hour(trade: ClosedTrade) -> str:
    """Return the New York hour of the entry as in ``09``."""
    return f"{datetime.fromtimestamp(trade.ts_entry // 1_000_000_000, UTC).astimezone(NEW_YORK):%H}"


def entry_phase(trade: ClosedTrade) -> str:
    """Return the phase of the session at the entry."""
    return calendar.phase(trade.ts_entry).name


def session_month(trade: ClosedTrade) -> str:
    """Return the month of the trade's session as in ``2025-11``."""
    return f"{trade.session_id // 10_000:04d}-{trade.session_id // 100 % 100:02d}"


def _weekday(trade: ClosedTrade) -> str:
    return datetime.strptime(str(trade.session_id), "%Y%m%d").strftime("%u")


def _by_weekday(trades: Sequence[ClosedTrade]) -> dict[str, dict[str, Any]]:
    groups = _grouped(trades, _weekday)
    return {WEEKDAYS[int(number) - 1]: figures for number, figures in groups.items()}


def summarise(
    record: RunRecord,
    facts: RunFacts,
    trials: Trials | None = None,
    overfitting: Overfitting | None = None,
) -> dict[str, Any]:
    """Put all figures of a run into one dictionary of plain values.

    Parameters
    ----------
    record : RunRecord
    facts : RunFacts
    trials : Trials, optional
        Among which the run was chosen; one, the run itself, if absent.
    overfitting : Overfitting, optional
        Of those trials.

    Returns
    -------
    dict
        What ``summary.json`` holds; a figure that is undefined is None. The groups are those of
        `trade_figures`: hours are New York's at the entry, phases those at the entry, weekdays
        and months the session's.
    """
    by_session = session_pnl(record)
    daily = np.array(list(by_session.values()), dtype=np.float64)
    closing = session_analysis.closing_equity(daily, facts.start_equity)
    r = np.array([trade.r_multiple for trade in record.trades], dtype=np.float64)
    equity = equity_curve(record, facts.start_equity)
    fall = statistics.max_drawdown(equity)
    sharpe = statistics.sharpe(daily)
    sortino = statistics.sortino(daily)
    held = sum(trade.bars_held for trade in record.trades)
    figures = trade_figures(record.trades)
    traded = {trade.session_id for trade in record.trades}
    return {
        "rows": facts.rows,
        "bars": facts.bars,
        "ticks": facts.ticks,
        "seconds": facts.seconds,
        "ticks_per_second": facts.ticks / facts.seconds if facts.seconds > 0.0 else None,
        "sessions": len(daily),
        "first_session": min(record.sessions, default=None),
        "last_session": max(record.sessions, default=None),
        "sessions_with_trades": len(traded),
        "sessions_after_last_trade": sum(sid > max(traded, default=0) for sid in record.sessions),
        **figures,
        "sharpe": finite(sharpe.value),
        "sharpe_standard_error": finite(sharpe.standard_error),
        "probabilistic_sharpe": finite(statistics.probabilistic_sharpe(sharpe)),
        "sortino": finite(sortino.value),
        "sortino_standard_error": finite(sortino.standard_error),
        "max_drawdown_usd": fall.usd,
        "max_drawdown_share": finite(fall.share),
        "start_equity_usd": facts.start_equity,
        "end_equity_usd": facts.start_equity + figures["net_pnl_usd"],
        "exposure": held / facts.bars if facts.bars else None,
        "decisions": len(record.decisions),
        "accepted": sum(decision.accepted for decision in record.decisions),
        "unfilled": len(record.unfilled),
        "rejections": record.rejections(facts.waits, facts.no_setups),
        "by_strategy": _grouped(record.trades, lambda t: t.strategy.value),
        "by_trigger": _grouped(record.trades, lambda t: t.kind.name),
        "by_regime": _grouped(record.trades, lambda t: t.regime.name),
        "by_exit": _grouped(record.trades, lambda t: t.exit_reason.value),
        "by_side": _grouped(record.trades, lambda t: "LONG" if t.side > 0 else "SHORT"),
        "by_hour": _grouped(record.trades, entry_hour),
        "by_weekday": _by_weekday(record.trades),
        "by_phase": _grouped(record.trades, entry_phase),
        "by_month": _grouped(record.trades, session_month),
        "daily": session_analysis.daily_figures(daily),
        "growth": session_analysis.growth_figures(closing),
        "under_water": session_analysis.under_water(closing, list(by_session)),
        "cone": session_analysis.cone_figures(daily),
        "selection": session_analysis.selection_figures(daily, trials or Trials(), overfitting),
        "rolling": session_analysis.rolling_figures(daily, r),
        "r_distribution": trade_analysis.r_figures(record.trades),
        "excursions": trade_analysis.excursion_figures(record.trades),
        "streaks": trade_analysis.streak_figures(record.trades),
        "cost_shares": trade_analysis.cost_figures(record.trades),
        "activity": trade_analysis.activity_figures(record.trades, record.sessions, facts.bars),
        "kill_switch": [
            {
                "ts": cause.since,
                "rule": cause.rule.value,
                "state": cause.state.name,
            }
            for cause, _, _ in record.kills
        ],
        **facts.identity,
    }
