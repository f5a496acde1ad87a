"""What a trader shows, as Prometheus reads it.

The trader counts in plain integers and puts them into its frame; everything else happens here,
in another process, when somebody scrapes. A trader that does not run is ``mia_up 0`` and nothing
else of it: an old position must not look like a new one.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

import mia
from mia.core.base_types import TradingState
from mia.core.frame import Frame, Stage
from mia.core.frame_memory import NAME, FrameReader, Snapshot
from mia.errors import DataError

ALIVE_S = 5.0
"""A heartbeat older than this is a trader that hangs or is dead."""

_TICKS_PER_POINT = 4
_FIRST, _LAST = 9, 34
"""Bounds of latency, as powers of two of nanoseconds: half a microsecond to 17 seconds."""

_COUNTS = {
    "ticks": "Trades and quotes taken from the feed.",
    "bars": "Primary bars closed.",
    "fills": "Executions booked.",
    "trades": "Trades closed.",
    "rejects": "Orders that the broker rejected.",
    "alarms": "Alarms of the order manager.",
    "commands": "Commands obeyed.",
    "frames": "Frames shown.",
    "frames_dropped": "Frames that could not be shown.",
}
_ORDERS, _REASON = "orders_", "reason_"


class FrameCollector(Collector):
    """Turns the newest frame of a state directory into metrics at each scrape.

    Parameters
    ----------
    state_dir : Path
        Of the trader; it need not run, nor have run.
    """

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / NAME
        self._decoder = msgspec.json.Decoder(Frame)

    def describe(self) -> Iterable[Metric]:
        """Say nothing: what there is depends on the trader."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of this moment; never raise into the scrape."""
        build = InfoMetricFamily("mia_build", "Version of the program that exposes this.")
        build.add_metric([], {"version": mia.__version__})
        yield build
        found = self._read()
        up = found is not None and found[0].age_s <= ALIVE_S
        yield GaugeMetricFamily("mia_up", "1 if the trader's loop turns.", value=float(up))
        if found is None:
            return
        snapshot, frame = found
        yield GaugeMetricFamily(
            "mia_heartbeat_age_seconds",
            "Since the trader's loop last turned.",
            value=snapshot.age_s,
        )
        if up:
            yield from _standing(frame)
            yield from _counts(frame)
            yield _stages(frame.stages)

    def _read(self) -> tuple[Snapshot, Frame] | None:
        try:
            with FrameReader(self._path) as reader:
                snapshot = reader.read()
            return snapshot, self._decoder.decode(snapshot.payload)
        except (DataError, msgspec.MsgspecError):
            return None


def _standing(frame: Frame) -> Iterator[Metric]:
    """Yield where the trader stands now."""
    day, feed, held, links = frame.day, frame.feed, frame.held, frame.links
    trader = InfoMetricFamily("mia_trader", "What the trader runs.")
    trader.add_metric(
        [],
        {
            "mode": frame.mode,
            "contract": frame.contract,
            "run": frame.run_id,
            "version": frame.version,
            "configuration": frame.configuration,
            "simulated": str(frame.simulated).lower(),
        },
    )
    yield trader
    gauges: list[tuple[str, str, float | None]] = [
        ("mia_ready", "1 if orders may be sent.", float(frame.ready)),
        (
            "mia_trading_state",
            "Kill switch: 0 normal, 1 no entries, 2 no trading, 3 emergency.",
            float(TradingState[frame.state]),
        ),
        ("mia_position_contracts", "Signed contracts held.", float(held.quantity if held else 0)),
        (
            "mia_position_protected",
            "1 if flat, or if a stop of the whole size works at the broker.",
            float(held is None or held.quantity == 0 or held.protected),
        ),
        ("mia_daily_pnl_usd", "Realized and open, net.", day.realized_pnl + day.open_pnl),
        ("mia_realized_pnl_usd", "Of the session, net.", day.realized_pnl),
        ("mia_open_pnl_usd", "At the newest price.", day.open_pnl),
        ("mia_worst_pnl_usd", "Of the session if every stop were hit now.", day.worst_pnl),
        ("mia_daily_loss_limit_usd", "Loss at which trading stops.", day.loss_limit),
        ("mia_equity_usd", "Realized.", day.equity),
        ("mia_equity_high_usd", "Highest realized.", day.equity_high),
        ("mia_feed_age_seconds", "Since anything was heard of the market.", feed.age_s),
        ("mia_feed_good", "1 if orders may rest on the data.", float(not feed.fault)),
        (
            "mia_journal_waiting_events",
            "Events that the disk has not taken yet.",
            frame.counters.get("journal_waiting"),
        ),
        ("mia_battle_score", "Battle Navale S at the newest close.", frame.battle.score),
        ("mia_model_drift", "Of the model's inputs and loss.", frame.model.drift),
    ]
    if frame.book.last is not None:
        gauges.append(("mia_price_points", "Last trade.", frame.book.last / _TICKS_PER_POINT))
    for name, text, value in gauges:
        if value is not None:
            yield GaugeMetricFamily(name, text, value=value)
    up = GaugeMetricFamily("mia_link_up", "1 if a connection is ready.", labels=["link"])
    for name, state in (("orders", links.orders), ("market", links.market)):
        up.add_metric([name], float(state == "READY"))
    yield up
    if links.reconciled_at is not None:
        yield GaugeMetricFamily(
            "mia_reconciled_age_seconds",
            "Since the book was made equal to the broker's.",
            value=max(0.0, (frame.ts - links.reconciled_at) / 1e9),
        )


def _counts(frame: Frame) -> Iterator[Metric]:
    """Yield what only grows in a run."""
    created = frame.started_ts / 1e9
    counters = {"ticks": frame.feed.ticks, **frame.counters}
    for name, text in _COUNTS.items():
        yield _counter(f"mia_{name}", text, counters.get(name, 0), created)
    more: list[tuple[str, str, float]] = [
        ("mia_ready_seconds", "Market open and trader ready.", frame.ready_s),
        ("mia_session_seconds", "Market open.", frame.session_s),
        ("mia_bad_ticks", "Ticks refused.", frame.feed.bad_ticks),
        ("mia_holes", "Gaps that no source could fill.", frame.feed.holes),
        ("mia_recon_mismatches", "Differences from the broker's book.", frame.links.mismatches),
        ("mia_reconnects", "Connections lost.", frame.links.reconnects),
    ]
    for name, text, value in more:
        yield _counter(name, text, value, created)
    orders = CounterMetricFamily("mia_orders", "Brackets.", labels=["side", "outcome"])
    decisions = CounterMetricFamily("mia_decisions", "Proposals decided.", labels=["reason"])
    for name, count in sorted(counters.items()):
        if name.startswith(_ORDERS):
            side, _, outcome = name.removeprefix(_ORDERS).partition("_")
            orders.add_metric([side, outcome], count, created=created)
        elif name.startswith(_REASON):
            decisions.add_metric([name.removeprefix(_REASON)], count, created=created)
    yield orders
    yield decisions


def _counter(name: str, text: str, value: float, created: float) -> CounterMetricFamily:
    family = CounterMetricFamily(name, text)
    family.add_metric([], value, created=created)
    return family


def _stages(stages: dict[str, Stage]) -> HistogramMetricFamily:
    """Return the latency of each stage; what lies beyond the bounds is in the outer buckets."""
    family = HistogramMetricFamily("mia_stage_seconds", "Time a stage took.", labels=["stage"])
    for name, stage in sorted(stages.items()):
        buckets = [
            (repr(2.0 ** (k + 1) / 1e9), float(sum(stage.counts[: k + 1])))
            for k in range(_FIRST, _LAST)
        ]
        buckets.append(("+Inf", float(sum(stage.counts))))
        family.add_metric([name], buckets, sum_value=stage.total_ns / 1e9)
    return family
