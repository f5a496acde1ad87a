"""What a feed tells of itself stands in the journal, by kind and with the feed's name."""

from pathlib import Path
from typing import Any, cast

from mia.core.event_bus import EventBus
from mia.core.market_feed import FeedNotice, FeedNoticeKind
from mia.data.history_stitch import Hole
from mia.data.journal import Journal
from mia.performance.recorder import RunRecord
from mia.trader.subscribers import attach_keepers


class Heard:
    """Stands for a part that this test does not look at."""

    def __init__(self) -> None:
        self.topics: list[str] = []

    def publish(self, topic: str, event: object) -> None:
        self.topics.append(topic)

    def on_change(self, *causes: object) -> None:
        self.topics.append("kill store")


def test_notices_and_holes_are_kept_in_the_journal_and_everything_in_the_record(
    tmp_path: Path,
) -> None:
    bus, record = EventBus(), RunRecord()
    vix, store, cycle = Heard(), Heard(), Heard()
    with Journal.open(tmp_path / "journal.db", clock=lambda: 1) as journal:
        parts = cast("tuple[Any, Any, Any]", (vix, store, cycle))
        attach_keepers(bus, *parts, journal, lambda: 77, record)
        notice = FeedNotice(FeedNoticeKind.GAP, "nothing for a while", 5, 9)
        bus.publish("feed", ("sierra", notice))
        bus.publish("hole", Hole(5, 9))
        bus.publish("index", ("VIX", 1, 16.0))
        bus.publish("kill", (1, 2, 3))
        bus.publish("session", 20250310)
        found = [(event.kind, event.ts, event.payload) for event in journal.events()]
    told = {"feed": "sierra", "kind": "GAP", "text": "nothing for a while"}
    assert found == [
        ("feed", 77, {**told, "ts_from": 5, "ts_to": 9}),
        ("hole", 77, {"since": 5, "until": 9}),
    ]
    assert vix.topics == ["index"]
    assert store.topics == ["kill store"]
    assert cycle.topics == ["feed", "hole", "index", "kill", "session"]
    assert record.sessions == [20250310]
