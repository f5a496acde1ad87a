"""Does the model gate fool itself? Markets with no edge, and with one of stated size, by seed.

Every seed is a market of its own: the rules trade it, the trades are labelled, and the promotion
test is asked. On the null market nothing can be known, so whatever is promoted is a mistake. The
planted market is the same one with a drift in the direction of recent order flow added to prices.

The gates of the method let a few trades a month through, too few to judge anything within minutes.
They are opened here, which changes which trades there are and not how they are judged; see
`research_settings`.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mia.backtest import Backtest
from mia.config.settings import LoadedSettings, load_settings
from mia.core.base_types import Block, TradeBlock
from mia.core.statistics import wilson_interval
from mia.data.digest import digest
from mia.data.tape import Tape, synthetic_tape
from mia.errors import DataError
from mia.ml.dataset import LabelledTrades, of_objects
from mia.ml.flat_model import BOOSTED, LOGISTIC
from mia.ml.training import train, validation_gap

LEAST_TRADES = 300
FIRST = 20200106
MINUTE_NS = 60_000_000_000
FLOW_MINUTES = 20
FLOW_SCALE = 0.08

OPENED = (
    "trading_mode=data_collection",
    "account.start_equity=10000000",
    "gate.feature_quality=0.3",
    "gate.loss_cooldown_s=0",
    "gate.mtf_min=0",
    "gate.regime_conf=0.3",
    "gate.regime_cooldown_s=0",
    "gate.session_min=0.3",
    "gate.signal_cooldown_s=0",
    "gate.signals_per_hour=100",
    "gate.weak_conf=0.3",
    "risk.kelly_min_trades=1000000",
    "risk.loss_streak=50",
    "risk.max_stop_atr=10",
    "risk.max_stop_ticks=60",
)
"""Settings under which the rules trade often."""


def research_settings() -> LoadedSettings:
    """Return settings with open gates: those of `OPENED`, all hours to 16:00, no least confidence.

    The limits are opened as no setting can: this is no account.
    """
    loaded = load_settings(None, OPENED, environ={})
    limits = replace(
        loaded.limits,
        min_confluence=0.0,
        min_confidence=0.0,
        start_minute=0,
        end_minute=960,
        half_after_minute=960,
    )
    return replace(loaded, limits=limits)


def planted(tape: Tape, edge_ticks: float) -> Tape:
    """Add a drift that follows order flow to the prices of a tape of trades.

    Parameters
    ----------
    edge_ticks : float
        Ticks that the price drifts over 20 minutes while the volume delta of the 20 minutes before
        is at least 8 % of their volume; in proportion below. 0 changes nothing.

    Returns
    -------
    Tape
        Its drift in a minute depends on what was traded before that minute only.
    """

    def blocks() -> Iterator[Block]:
        for block in tape.blocks():
            assert isinstance(block, TradeBlock)
            shift = _drift(block, edge_ticks)[_minutes(block)].astype(np.int32)
            yield replace(
                block,
                price=block.price + shift,
                bid_price=block.bid_price + shift,
                ask_price=block.ask_price + shift,
            )

    return replace(
        tape,
        name=f"{tape.name}, drift of {edge_ticks:g} ticks after flow",
        sha256=digest(tape.sha256, "drift", edge_ticks),
        blocks=blocks,
    )


def _minutes(block: TradeBlock) -> NDArray[np.int64]:
    minutes: NDArray[np.int64] = (block.ts_event - block.ts_event[0]) // MINUTE_NS
    return minutes


def _drift(block: TradeBlock, edge_ticks: float) -> NDArray[np.float64]:
    """Return the whole ticks added in each minute of a session."""
    minute = _minutes(block)
    n = int(minute[-1]) + 1
    signed = block.size.astype(np.float64) * block.aggressor_side
    flow = np.concatenate(([0.0], np.cumsum(np.bincount(minute, weights=signed, minlength=n))))
    size = np.concatenate(([0.0], np.cumsum(np.bincount(minute, weights=block.size, minlength=n))))
    last = np.arange(n)
    first = np.maximum(last - FLOW_MINUTES, 0)
    volume = size[last] - size[first]
    share = np.where(volume > 0.0, (flow[last] - flow[first]) / np.maximum(volume, 1.0), 0.0)
    step = np.clip(share / FLOW_SCALE, -1.0, 1.0) * edge_ticks / FLOW_MINUTES
    return np.rint(np.cumsum(step))


@dataclass(frozen=True, slots=True)
class Trial:
    """One market: how many trades, and what the promotion test said.

    Attributes
    ----------
    promoted : bool
        The test was passed, by whichever family was chosen.
    """

    seed: int
    edge_ticks: float
    trades: int
    promoted: bool
    family: str
    loss_gain: float
    r_gain: float | None
    gap: float


def labels_of(tape: Tape) -> LabelledTrades:
    """Return the labelled trades of a tape under open gates."""
    record = Backtest(research_settings(), tape).run().record
    return of_objects(record.decisions, record.trades)


def try_seed(seed: int, edge_ticks: float, days: int, trades_per_day: int, gap: bool) -> Trial:
    """Run one market and ask the promotion test.

    Parameters
    ----------
    edge_ticks : float
        0 for the null market.
    gap : bool
        Also measure what a shuffled validation would have promised.
    """
    tape = synthetic_tape(seed, FIRST, days, trades_per_day, null=True)
    data = labels_of(planted(tape, edge_ticks) if edge_ticks else tape)
    if len(data) < LEAST_TRADES:
        return Trial(seed, edge_ticks, len(data), False, "", 0.0, None, 0.0)
    _, facts = train(data, (LOGISTIC, BOOSTED))
    test = facts["promotion"]
    return Trial(
        seed,
        edge_ticks,
        len(data),
        bool(test["passed"]),
        str(facts["family"]),
        test["loss_gain"],
        test["r_gain"],
        validation_gap(data)["gap"] if gap else 0.0,
    )


def run(
    out: Path,
    seeds: range,
    edges: tuple[float, ...],
    days: int,
    trades_per_day: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
    until: Callable[[], bool] = lambda: False,
) -> list[dict[str, Any]]:
    """Run every seed with every edge, a line in `out` for each, and return the table.

    Parameters
    ----------
    out : Path
        Lines of JSON; what is there is not run again.
    edges : tuple of float
        Ticks; 0 is the null market.
    until : callable
        Asked before each market; True ends the run, and a later one goes on.

    Raises
    ------
    DataError
        If `out` holds something else.
    """
    done: dict[tuple[int, float], dict[str, Any]] = {}
    key = {"days": days, "trades_per_day": trades_per_day}
    if out.exists():
        try:
            for line in out.read_text(encoding="utf-8").splitlines():
                row = json.loads(line)
                if {name: row[name] for name in key} == key:
                    done[row["seed"], row["edge_ticks"]] = row
        except (KeyError, TypeError, ValueError):
            raise DataError(f"{out} holds no trials of this command: name another file") from None
    out.parent.mkdir(parents=True, exist_ok=True)
    wanted = [(seed, edge) for seed in seeds for edge in edges]
    for k, (seed, edge) in enumerate(wanted):
        if until():
            break
        if (seed, edge) not in done:
            trial = try_seed(seed, edge, days, trades_per_day, gap=edge == 0.0)
            row = {name: getattr(trial, name) for name in Trial.__dataclass_fields__} | key
            with out.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            done[seed, edge] = row
        progress(k + 1, len(wanted))
    rows = [done[pair] for pair in wanted if pair in done]
    return [summary(edge, [r for r in rows if r["edge_ticks"] == edge]) for edge in edges]


def summary(edge: float, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return how often markets of an edge were promoted, among those with 300 trades."""
    counted = [row for row in rows if row["trades"] >= LEAST_TRADES]
    promoted = sum(row["promoted"] for row in counted)
    low, high = wilson_interval(promoted, len(counted))
    found: dict[str, Any] = {
        "edge_ticks": edge,
        "markets": len(rows),
        "markets_with_300_trades": len(counted),
        "trades_median": float(np.median([row["trades"] for row in counted])) if counted else None,
        "promoted": promoted,
        "share": promoted / len(counted) if counted else None,
        "share_wilson_95": [low, high],
    }
    if edge == 0.0 and counted:
        gaps = np.array([row["gap"] for row in counted])
        found["plain_less_purged_loss_gain"] = float(gaps.mean())
        found["plain_better_in"] = int((gaps > 0.0).sum())
    return found
