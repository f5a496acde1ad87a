import time

import pytest

from mia.core.event_bus import ALL, EventBus
from mia.core.protocols import EventSink


class Reports(list[tuple[str, str]]):
    """What the bus reported."""

    def __call__(self, name: str, text: str) -> None:
        self.append((name, text))


def test_events_reach_those_who_want_their_topic_in_order() -> None:
    bus: EventSink = EventBus()
    assert isinstance(bus, EventBus)
    seen: list[tuple[str, str, object]] = []
    bus.subscribe("fill", lambda topic, event: seen.append(("a", topic, event)), "a")
    bus.subscribe(ALL, lambda topic, event: seen.append(("b", topic, event)), "b")
    bus.subscribe("bar", lambda topic, event: seen.append(("c", topic, event)), "c")
    bus.publish("fill", 1)
    bus.publish("bar", 2)
    bus.publish("other", 3)
    assert seen == [
        ("a", "fill", 1),
        ("b", "fill", 1),
        ("b", "bar", 2),
        ("c", "bar", 2),
        ("b", "other", 3),
    ]


def test_one_that_fails_is_reported_once_and_the_others_are_not_harmed() -> None:
    reports = Reports()
    bus = EventBus(reports)
    seen: list[object] = []
    failing = bus.subscribe("fill", lambda topic, event: 1 / 0, "bad")
    bus.subscribe("fill", lambda topic, event: seen.append(event), "good")
    for number in range(5):
        bus.publish("fill", number)
    assert seen == list(range(5))
    assert failing.failures == 5
    assert len(reports) == 1
    assert reports[0][0] == "bad"
    assert "ZeroDivisionError" in reports[0][1]


def test_one_that_only_fails_is_cut_off_and_one_that_recovers_is_not() -> None:
    reports = Reports()
    bus = EventBus(reports)
    calls = {"dead": 0, "shaky": 0}

    def dead(topic: str, event: object) -> None:
        calls["dead"] += 1
        raise OSError("gone")

    def shaky(topic: str, event: object) -> None:
        calls["shaky"] += 1
        if calls["shaky"] % 10:
            raise OSError("again")

    lost = bus.subscribe("fill", dead, "dead")
    kept = bus.subscribe("fill", shaky, "shaky")
    for number in range(100):
        bus.publish("fill", number)
    assert calls == {"dead": 20, "shaky": 100}
    assert lost.is_cut_off
    assert not kept.is_cut_off
    assert [name for name, text in reports if "cut off" in text] == ["dead"]


def test_a_report_that_fails_reaches_nobody() -> None:
    def report(name: str, text: str) -> None:
        raise RuntimeError(text)

    bus = EventBus(report)
    bus.subscribe("fill", lambda topic, event: 1 / 0, "bad")
    bus.publish("fill", 1)
    bus.publish("fill", 2)
    assert bus.subscriptions[0].failures == 2


def test_one_that_is_slow_is_measured_and_reported_once() -> None:
    reports = Reports()
    bus = EventBus(reports, slow_ns=2_000_000)
    slow = bus.subscribe("bar", lambda topic, event: time.sleep(0.004), "slow")
    for number in range(3):
        bus.publish("bar", number)
    assert slow.slow == slow.calls == 3
    assert slow.slowest_ns >= 4_000_000
    assert slow.total_ns >= 12_000_000
    assert [name for name, _ in reports] == ["slow"]


def test_whoever_leaves_gets_nothing_more_even_while_an_event_is_handed_out() -> None:
    bus = EventBus()
    seen: list[object] = []

    def leave(topic: str, event: object) -> None:
        seen.append(event)
        bus.unsubscribe(me)
        bus.subscribe("fill", lambda topic, event: seen.append("late"), "late")

    me = bus.subscribe("fill", leave, "me")
    bus.publish("fill", 1)
    bus.publish("fill", 2)
    assert seen == [1, "late"]


def test_an_interrupt_by_the_user_is_not_swallowed() -> None:
    bus = EventBus()

    def interrupted(topic: str, event: object) -> None:
        raise KeyboardInterrupt

    bus.subscribe("fill", interrupted, "me")
    with pytest.raises(KeyboardInterrupt):
        bus.publish("fill", 1)
