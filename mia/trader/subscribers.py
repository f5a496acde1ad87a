"""Who is told what happens in a live run: the one place where they are put on the event bus.

Order matters: an event goes to its subscribers in the order in which they were attached, and all
of them have had it before the cycle goes on. Whoever keeps what a restart needs comes first.
"""

import logging
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mia.core.event_bus import ALL, EventBus
from mia.core.protocols import EventSink
from mia.data.journal import Journal
from mia.data.snapshot_files import SnapshotWriter
from mia.execution.alert_events import AlertEvents
from mia.execution.kill_commands import KillStore
from mia.execution.live.recovery import CycleJournal
from mia.execution.trade_snapshotter import TradeSnapshotter
from mia.trader.live_parts import LiveVix

log = logging.getLogger(__name__)

_SLOW_NS = 20_000_000
"""What must be durable waits for the disk; longer than this is worth a word."""


def make_bus(alerts: AlertEvents) -> EventBus:
    """Return a bus that tells of subscribers that fail or are slow, and whose events are alerts."""

    def report(name: str, what: str) -> None:
        log.warning("%s: %s", name, what)
        alerts.subscriber(name, what)

    bus = EventBus(report, _SLOW_NS)
    bus.subscribe(ALL, alerts.publish, "alerts")
    return bus


def attach_keepers(
    bus: EventBus,
    vix: LiveVix,
    store: KillStore,
    cycle: CycleJournal,
    journal: Journal,
    now: Callable[[], int],
    sink: EventSink,
) -> None:
    """Attach what takes part in the run; called before an earlier run's state is taken up.

    Parameters
    ----------
    now : callable
        Time of a journal record, ns UTC.
    sink : EventSink
        Told of everything, what is taken up included.
    """

    def keep_kill_state(topic: str, event: Any) -> None:
        store.on_change(*event)

    def keep_feed(topic: str, event: Any) -> None:
        """Write to the journal what a feed tells of itself, by the name of the kind."""
        if topic == "feed":
            feed, notice = event
            payload = {"feed": feed, **asdict(notice)}
        else:
            payload = asdict(event)
        journal.append(topic, payload, ts=now())

    bus.subscribe("index", vix.publish, "vix")
    bus.subscribe("kill", keep_kill_state, "kill store")
    bus.subscribe(ALL, cycle.publish, "cycle journal")
    for topic in ("feed", "feed_switch", "feed_doubt", "hole"):
        bus.subscribe(topic, keep_feed, "feed journal")
    bus.subscribe(ALL, sink.publish, "record")


def attach_observers(
    bus: EventBus,
    directory: Path,
    about: dict[str, str],
    quote: Callable[[], tuple[int, int]],
) -> Callable[[], object]:
    """Attach who only looks on; called once the run is whole.

    Parameters
    ----------
    directory : Path
        The state directory.
    about : dict of str to str
        Hash of the configuration and version of the code.
    quote : callable
        Best bid and ask in ticks.

    Returns
    -------
    callable
        Ends them; called when the run is over.
    """
    snapshots = TradeSnapshotter(SnapshotWriter(directory / "snapshots"), about, quote=quote)
    bus.subscribe(ALL, snapshots.publish, "snapshots")
    return snapshots.stop
