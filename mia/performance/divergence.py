"""Where two runs that should be the same part: decisions, fills and trades by their ids."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Any, Generic, TypeVar

import numpy as np

from mia.core.statistics import mean_interval
from mia.core.trading_types import ClosedTrade, Decision, Fill
from mia.performance.figures import bounds, mean, numbers, quantiles
from mia.performance.recorder import RunRecord

SECOND = 1_000_000_000
FEW_SESSIONS = 2

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Matched(Generic[T]):
    """Things of two runs by key: pairs, and those that only one run has."""

    pairs: list[tuple[T, T]]
    only_a: list[T]
    only_b: list[T]


def matched(a: Iterable[T], b: Iterable[T], key: Callable[[T], Hashable]) -> Matched[T]:
    """Pair things by key; of several with one key the first goes with the first, and so on."""
    waiting: dict[Hashable, list[T]] = defaultdict(list)
    for one in b:
        waiting[key(one)].append(one)
    pairs, only_a = [], []
    for one in a:
        others = waiting[key(one)]
        if others:
            pairs.append((one, others.pop(0)))
        else:
            only_a.append(one)
    return Matched(pairs, only_a, [one for rest in waiting.values() for one in rest])


def _decision_key(decision: Decision) -> Hashable:
    proposal = decision.proposal
    return decision.ts, proposal.strategy, proposal.kind, proposal.side


def _decision_facts(decision: Decision) -> dict[str, Any]:
    proposal = decision.proposal
    return {
        "reason": decision.reason.value,
        "signal": decision.signal.value,
        "quantity": decision.quantity,
        "entry_ticks": proposal.entry,
        "stop_ticks": proposal.stop,
        "target_ticks": proposal.target,
        "confidence": decision.confidence,
        "regime": decision.regime.name,
        "features": decision.features,
    }


def _trade_facts(trade: ClosedTrade) -> dict[str, Any]:
    return {
        "quantity": trade.quantity,
        "entry_ticks": trade.entry,
        "exit_ticks": trade.exit,
        "ts_entry": trade.ts_entry,
        "ts_exit": trade.ts_exit,
        "exit_reason": trade.exit_reason.value,
        "net_pnl_usd": trade.net_pnl,
    }


@dataclass(frozen=True, slots=True)
class Filled:
    """All fills of one role of a bracket together; the price is their mean in ticks."""

    bracket_id: str
    role: str
    side: int
    quantity: int
    price: float
    commission: float
    ts: int


def _filled(fills: Sequence[Fill]) -> list[Filled]:
    groups: dict[tuple[str, str], list[Fill]] = defaultdict(list)
    for fill in fills:
        groups[fill.bracket_id, fill.role.name].append(fill)
    return [
        Filled(
            bracket_id,
            role,
            parts[0].side,
            sum(part.quantity for part in parts),
            sum(part.price * part.quantity for part in parts)
            / sum(part.quantity for part in parts),
            sum(part.commission for part in parts),
            parts[-1].ts,
        )
        for (bracket_id, role), parts in groups.items()
    ]


def _fill_facts(filled: Filled) -> dict[str, Any]:
    return {"quantity": filled.quantity, "price_ticks": filled.price, "ts": filled.ts}


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, tuple):
        return len(a) == len(b) and all(_same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, float) and isinstance(b, float) and isnan(a) and isnan(b):
        return True
    return bool(a == b)


def _apart(
    name: str, pairs: Sequence[tuple[T, T]], label: Callable[[T], str], facts: Callable[[T], Any]
) -> dict[str, Any]:
    """Count differing facts, and list the things that differ with both values."""
    counts: dict[str, int] = defaultdict(int)
    listed = []
    for a, b in pairs:
        of_a, of_b = facts(a), facts(b)
        found = [key for key in of_a if not _same(of_a[key], of_b[key])]
        for key in found:
            counts[key] += 1
        if found:
            values = {
                key: {"a": _plain(of_a[key]), "b": _plain(of_b[key])}
                for key in found
                if key != "features"
            }
            listed.append({name: label(a), "differs": found, **values})
    return {"differing": len(listed), "fields": dict(sorted(counts.items())), "list": listed}


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _section(
    name: str,
    found: Matched[T],
    label: Callable[[T], str],
    facts: Callable[[T], Any],
) -> dict[str, Any]:
    return {
        "both": len(found.pairs),
        "only_a": [label(one) for one in found.only_a],
        "only_b": [label(one) for one in found.only_b],
        **_apart(name, found.pairs, label, facts),
    }


def _decision_label(decision: Decision) -> str:
    proposal = decision.proposal
    side = "LONG" if proposal.side > 0 else "SHORT"
    return f"{decision.ts} {proposal.strategy.value} {proposal.kind.name} {side}"


def diverge(a: RunRecord, b: RunRecord) -> dict[str, Any]:
    """Compare two records that should tell the same story, such as a live run and its backtest.

    Returns
    -------
    dict
        ``identical``; ``decisions`` by time, strategy, trigger and side; ``fills`` by bracket and
        role; ``trades`` by id, each with counts, the labels that one run alone has, how often
        each field differs, and every difference; ``trades`` also has the differences b less a of
        the net result, with the 95 % bootstrap interval of whole sessions, and of entries and
        exits in ticks, positive where b was worse.
    """
    decisions = matched(a.decisions, b.decisions, _decision_key)
    fills = matched(
        _filled(a.fills), _filled(b.fills), lambda filled: (filled.bracket_id, filled.role)
    )
    trades = matched(a.trades, b.trades, lambda trade: trade.trade_id)
    parts = {
        "decisions": _section("decision", decisions, _decision_label, _decision_facts),
        "fills": {
            **_section("fill", fills, lambda f: f"{f.bracket_id} {f.role}", _fill_facts),
            "worse_ticks": _spread((y.price - x.price) * x.side for x, y in fills.pairs),
            "later_seconds": _spread((y.ts - x.ts) / SECOND for x, y in fills.pairs),
        },
        "trades": {
            **_section("trade", trades, lambda trade: trade.trade_id, _trade_facts),
            **_trade_differences(trades.pairs),
        },
    }
    same = all(
        not (part["differing"] or part["only_a"] or part["only_b"]) for part in parts.values()
    )
    return {"identical": same, **parts}


def _trade_differences(pairs: Sequence[tuple[ClosedTrade, ClosedTrade]]) -> dict[str, Any]:
    net = np.array([y.net_pnl - x.net_pnl for x, y in pairs], dtype=np.float64)
    sessions = np.array([x.session_id for x, _ in pairs], dtype=np.int64)
    enough = len(set(sessions.tolist())) >= FEW_SESSIONS
    interval = mean_interval(net, sessions) if enough else (float("nan"), float("nan"))
    return {
        "net_pnl_usd": {"sum": float(np.sum(net)), "mean": mean(net), "mean_95": bounds(interval)},
        "entry_worse_ticks": _spread((y.entry - x.entry) * x.side for x, y in pairs),
        "exit_worse_ticks": _spread((x.exit - y.exit) * x.side for x, y in pairs),
    }


def _spread(values: Iterable[float]) -> dict[str, float | None]:
    found = numbers(values)
    return {"mean": mean(found), **quantiles(found)}
