"""What a session brought, from the journal: uptime, trades, what stopped trading, what failed."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mia.core import sessions
from mia.core.statistics import wilson_interval
from mia.core.trading_types import ClosedTrade
from mia.data import journal_schema, state_files
from mia.data.account_history import UPTIME, closed_trades
from mia.data.journal_schema import JournalEvent

SECOND = 1_000_000_000
_REFUSED, _COMMAND, _FEED, _HOLE = "gate.refused", "kill.command", "feed", "hole"


@dataclass(frozen=True, slots=True)
class Stop:
    """Something that raised the kill switch."""

    rule: str
    state: str
    since: int


@dataclass(frozen=True, slots=True)
class DayTrades:
    """The closed trades of a day, USD net of costs.

    Attributes
    ----------
    win_interval : tuple of float
        95 % Wilson bounds of the share of wins.
    slippage_p95 : float or None
        Ticks against us, 95th percentile.
    """

    count: int
    wins: int
    win_interval: tuple[float, float]
    net_usd: float
    costs_usd: float
    mean_r: float | None
    best_usd: float | None
    worst_usd: float | None
    slippage_mean: float | None
    slippage_p95: float | None


@dataclass(frozen=True, slots=True)
class DailyReport:
    """A session of an account.

    Attributes
    ----------
    open_s : float
        Seconds in which the market was open, up to the end of the session or to now.
    ready_s : float
        Of them, seconds in which the trader was ready; the time in which no trader ran counts as
        not ready.
    runs, crashes : int
        Runs that were started in the session; runs that were begun anew without having ended.
    refused : dict of int
        Orders that the last gate refused, by reason.
    feed : dict of int
        Notices of feeds by what they say.
    """

    session_id: int
    open_s: float
    ready_s: float
    runs: int
    crashes: int
    trades: DayTrades
    by_strategy: dict[str, DayTrades]
    stops: list[Stop]
    commands: list[str]
    refused: dict[str, int]
    feed: dict[str, int]
    holes: int

    @property
    def uptime(self) -> float | None:
        """Share of the open market in which the trader was ready; None before the market opens."""
        return min(1.0, self.ready_s / self.open_s) if self.open_s > 0.0 else None

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {**asdict(self), "uptime": self.uptime}


def daily_report(events: Iterable[JournalEvent], session_id: int, now: int) -> DailyReport:
    """Sum a session up.

    Parameters
    ----------
    events : iterable of JournalEvent
        All of the journal, or all from the session on.
    session_id : int
        As in 20251118.
    now : int
        ns UTC; later parts of the session have not happened.

    Raises
    ------
    DataError
        If the market is closed on that day, or the calendar does not reach it.
    JournalError
        If a trade cannot be read.
    """
    since = sessions.session_open(session_id)
    until = sessions.session_open(sessions.next_trading_day(session_id))
    own = [event for event in events if since <= event.ts < until]
    kinds: dict[str, list[Mapping[str, Any]]] = {}
    for event in own:
        kinds.setdefault(event.kind, []).append(event.payload)
    spans = sessions.expected_intervals(session_id)
    trades = [trade for trade in closed_trades(own) if trade.session_id == session_id]
    strategies = sorted({trade.strategy.value for trade in trades})
    return DailyReport(
        session_id,
        sum(max(0, min(end, now) - start) for start, end in spans) / SECOND,
        _ready_s(own, session_id),
        len(kinds.get(journal_schema.RUN_STARTED, ())),
        _crashes(own),
        _day_trades(trades),
        {name: _day_trades([t for t in trades if t.strategy.value == name]) for name in strategies},
        _stops(kinds.get(state_files.KILL_STATE, ()), since),
        [f"{said['name']} {said['outcome']}" for said in kinds.get(_COMMAND, ())],
        dict(Counter(str(said.get("code", "")) for said in kinds.get(_REFUSED, ()))),
        dict(Counter(str(said.get("kind", "")) for said in kinds.get(_FEED, ()))),
        len(kinds.get(_HOLE, ())),
    )


def _ready_s(events: Iterable[JournalEvent], session_id: int) -> float:
    """Sum the runs, of each of which the newest count is the whole."""
    by_run: dict[int, float] = {}
    run = 0
    for event in events:
        if event.kind == journal_schema.RUN_STARTED:
            run = event.seq
        elif event.kind == UPTIME and event.payload["session_id"] == session_id:
            by_run[run] = float(event.payload["ready_s"])
    return sum(by_run.values())


def _crashes(events: Iterable[JournalEvent]) -> int:
    """Count the runs that began while the one before had not ended."""
    crashes, open_run = 0, False
    for event in events:
        if event.kind == journal_schema.RUN_STARTED:
            crashes += open_run
            open_run = True
        elif event.kind == journal_schema.RUN_ENDED:
            open_run = False
    return crashes


def _stops(states: Iterable[Mapping[str, Any]], since: int) -> list[Stop]:
    """Return each cause of the day once, in the order of time."""
    found: dict[tuple[str, int], Stop] = {}
    for state in states:
        for cause in state.get("causes", ()):
            if cause["since"] >= since:
                stop = Stop(str(cause["rule"]), str(cause["state"]), int(cause["since"]))
                found.setdefault((stop.rule, stop.since), stop)
    return sorted(found.values(), key=lambda stop: stop.since)


def _day_trades(trades: list[ClosedTrade]) -> DayTrades:
    net = [trade.net_pnl for trade in trades]
    slipped = [trade.slippage_ticks for trade in trades]
    wins = sum(value > 0.0 for value in net)
    return DayTrades(
        len(trades),
        wins,
        wilson_interval(wins, len(trades)),
        float(sum(net)),
        float(sum(trade.costs for trade in trades)),
        float(np.mean([trade.r_multiple for trade in trades])) if trades else None,
        max(net, default=None),
        min(net, default=None),
        float(np.mean(slipped)) if trades else None,
        float(np.percentile(slipped, 95)) if trades else None,
    )


def lines(report: DailyReport) -> list[str]:
    """Say it in a few lines, as for an alert or a terminal."""
    trades = report.trades
    low, high = trades.win_interval
    uptime = "market not open yet" if report.uptime is None else f"uptime {report.uptime:.2%}"
    text = [
        f"Session {report.session_id}: {uptime} of {report.open_s / 3600:.2f} h, "
        f"{report.runs} runs, {report.crashes} crashes",
        f"{trades.count} trades, {trades.wins} won"
        + (f" (95 % interval {low:.0%} to {high:.0%})" if trades.count else "")
        + f", net {trades.net_usd:+,.2f} USD after {trades.costs_usd:,.2f} USD of costs",
    ]
    if trades.slippage_mean is not None and trades.slippage_p95 is not None:
        text.append(
            f"slippage {trades.slippage_mean:.2f} ticks on average, {trades.slippage_p95:.2f} at "
            "the 95th percentile"
        )
    text += [
        f"{name}: {part.count} trades, {part.wins} won, net {part.net_usd:+,.2f} USD"
        for name, part in report.by_strategy.items()
    ]
    text += [f"stopped by {stop.rule}: {stop.state}" for stop in report.stops]
    text += [f"command: {said}" for said in report.commands]
    for what, counts in (("refused at the last gate", report.refused), ("feed", report.feed)):
        if counts:
            text.append(
                f"{what}: " + ", ".join(f"{name} {n}" for name, n in sorted(counts.items()))
            )
    if report.holes:
        text.append(f"{report.holes} holes in the data that no source could fill")
    return text
