"""Seeded runs for the tests of performance: decisions, trades, marks and bars that agree."""

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np

from mia.core import sessions
from mia.core.base_types import (
    ExitReason,
    OrderType,
    Phase,
    Reason,
    Regime,
    SetupKind,
    Signal,
    Strategy,
    TradingState,
)
from mia.core.trading_types import ClosedTrade, Decision, GateResult, Proposal
from mia.performance.recorder import RunRecord
from mia.performance.summary import RunFacts, summarise

SECOND = 1_000_000_000
WIDTH = 300
START = 50_000.0
GATES = (Reason.REGIME_CONF, Reason.MTF, Reason.CONFLUENCE, Reason.CONFIDENCE, Reason.RR)


@dataclass
class ARun:
    """A record with the bars it came from and its summary."""

    record: RunRecord
    bars: dict[str, list[int]]
    summary: dict[str, object]


def random_bars(rng: np.random.Generator, days: list[int]) -> dict[str, np.ndarray]:
    """Return a random walk of five-minute bars over the open hours of sessions."""
    opens = [
        np.arange(first // SECOND, last // SECOND, WIDTH)
        for sid in days
        for first, last in sessions.expected_intervals(sid)
    ]
    t = np.concatenate(opens) if opens else np.empty(0, np.int64)
    path = 24_000 + np.cumsum(rng.integers(-12, 13, size=(len(t), 4)).ravel()).reshape(-1, 4)
    return {
        "t_open": t,
        "open": path[:, 0],
        "high": path.max(axis=1),
        "low": path.min(axis=1),
        "close": path[:, 3],
    }


def a_decision(ts: int, sid: int, **changed: object) -> Decision:
    """Return an accepted long proposal of the trend strategy."""
    values: dict[str, object] = {
        "ts": ts,
        "session_id": sid,
        "contract": "ESZ25",
        "proposal": Proposal(
            Strategy.TREND, SetupKind.T1, 1, 0.8, OrderType.STOP, 24_001, 23_989, 24_025, 12, 3
        ),
        "signal": Signal.LONG_TREND,
        "reason": Reason.OK,
        "confidence": 0.7,
        "label": "GOOD",
        "parts": {"regime": 0.9, "battle": 0.5},
        "gates": tuple(GateResult(code, 0.9, 0.5, True, code is not Reason.MTF) for code in GATES),
        "symbol": "ES",
        "quantity": 1,
        "budgets": {"per_trade_usd": 150.0},
        "features": tuple(k / 18 for k in range(18)),
        "valid": tuple(k % 2 == 0 for k in range(18)),
        "regime": Regime.STRONG_TREND_BULL,
        "phase": Phase.ny_open,
    }
    return Decision(**{**values, **changed})


def _trade(rng: np.random.Generator, bars: dict[str, np.ndarray], k: int, edge: float, n: int):
    held = int(rng.integers(1, 20))
    side = int(rng.choice([-1, 1]))
    distance = int(rng.integers(8, 20))
    won = rng.random() < 0.42 + edge
    moved = int(distance * rng.uniform(1.2, 2.5)) if won else -distance
    entry = int(bars["close"][k])
    sid = sessions.session_id(int(bars["t_open"][k]) * SECOND)
    strategy = rng.choice([Strategy.TREND, Strategy.RANGE])
    gross = moved * 12.5
    return ClosedTrade(
        trade_id=f"TRADE_{sid}_{n:08d}",
        symbol="ES",
        contract="ESZ25",
        strategy=Strategy(strategy),
        kind=SetupKind(int(rng.integers(0, 8))),
        regime=Regime(int(rng.integers(0, 7))),
        session_id=sid,
        side=side,
        quantity=1,
        ts_signal=int(bars["t_open"][k]) * SECOND,
        ts_entry=(int(bars["t_open"][k]) + 17) * SECOND,
        ts_exit=(int(bars["t_open"][k]) + 17 + held * WIDTH) * SECOND,
        entry=float(entry),
        exit=float(entry + side * moved),
        stop=entry - side * distance,
        target=entry + side * 2 * distance,
        distance=distance,
        exit_reason=ExitReason.TARGET if won else ExitReason.STOP,
        gross_ticks=float(moved),
        gross_pnl=gross,
        costs=4.5,
        net_pnl=gross - 4.5,
        r_multiple=(gross - 4.5) / (distance * 12.5),
        mfe_ticks=max(moved, 0) + int(rng.integers(0, 8)),
        mae_ticks=min(moved, 0) - int(rng.integers(0, 5)),
        bars_held=held,
        confidence=float(rng.uniform(0.6, 0.95)),
        slippage_ticks=float(rng.integers(0, 3)),
    )


def a_run(
    seed: int = 0,
    first: int = 20251103,
    last: int = 20251128,
    per_day: float = 2.0,
    edge: float = 0.0,
    with_bars: bool = True,
    **identity: object,
) -> ARun:
    """Return a run over the sessions from `first` to `last`, `per_day` trades each on average."""
    rng = np.random.Generator(np.random.PCG64(seed))
    days = sessions.trading_days(first, last)
    bars = random_bars(rng, days)
    ids = sessions.session_ids(bars["t_open"] * SECOND)
    record = RunRecord(sessions=list(days))
    equity = START
    for sid in days:
        places = np.flatnonzero(ids == sid)
        count = min(int(rng.poisson(per_day)), (len(places) - 30) // 25)
        slots = rng.choice((len(places) - 30) // 25, size=max(count, 0), replace=False)
        for slot in sorted(slots.tolist()):
            k = int(places[slot * 25])
            trade = _trade(rng, bars, k, edge, len(record.trades))
            record.publish("decision", a_decision(trade.ts_signal, sid))
            for step in range(trade.bars_held):
                open_pnl = trade.gross_pnl * (step + 1) / trade.bars_held * rng.uniform(0, 1)
                ts = trade.ts_signal + (step + 1) * WIDTH * SECOND
                record.publish("mark", (ts, sid, equity + open_pnl))
            equity += trade.net_pnl
            record.publish("closed", trade)
            record.publish("mark", (trade.ts_exit, sid, equity))
        for code in rng.choice(len(GATES), size=int(rng.poisson(3)) if per_day else 0):
            failed = GATES[int(code)]
            gates = tuple(GateResult(c, 0.4, 0.5, c is not failed, True) for c in GATES)
            record.publish(
                "decision",
                a_decision(
                    int(bars["t_open"][places[3]]) * SECOND,
                    sid,
                    reason=failed,
                    gates=gates,
                    signal=Signal.NO_SIGNAL,
                ),
            )
    if record.trades:
        when = record.trades[-1].ts_exit
        cause = SimpleNamespace(
            rule=SimpleNamespace(value="DAILY_LOSS"), state=TradingState.HALT_TRADING, since=when
        )
        record.publish("kill", (cause, TradingState.NORMAL, TradingState.HALT_TRADING))
    decided = len(record.decisions)
    named = {
        "source": "es.parquet",
        "source_kind": "summary",
        "primary_stream": "time:300",
        "trading_mode": "paper",
        "risk_level": "conservative",
        "vix_known": True,
        "calendar_known": False,
        "rejected_rows": 0,
        "open_at_end": False,
        "configuration_sha256": "ab" * 32,
        "data_sha256": "cd" * 32,
        "code_version": "0.1.0",
    }
    n = len(bars["t_open"])
    facts = RunFacts(
        rows=n * 400,
        bars=n,
        ticks=n * 400,
        seconds=1.5,
        start_equity=START,
        waits=n // 2,
        no_setups=n - n // 2 - decided,
        identity={**named, **identity},
    )
    shown = {name: values.tolist() if with_bars else [] for name, values in bars.items()}
    return ARun(record, shown, summarise(record, facts))
