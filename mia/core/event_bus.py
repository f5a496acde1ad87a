"""Synchronous publish and subscribe inside the process.

Whoever publishes is the trading cycle, so nothing that a subscriber does may reach it: an
exception is counted and reported once, and one that fails again and again is cut off.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

ALL = "*"
"""Subscribes to every topic."""

_MAX_FAILURES = 20


@dataclass(slots=True)
class Subscription:
    """One subscriber and how it does.

    Attributes
    ----------
    topic : str
        Or `ALL`.
    slowest_ns : int
        Longest time that it held the cycle.
    total_ns : int
        All the time that it held the cycle.
    failures : int
        Exceptions, one after the other or not.
    in_a_row : int
        Exceptions since it last succeeded; at 20 it is cut off.
    """

    topic: str
    receive: Callable[[str, object], None]
    name: str
    calls: int = 0
    slow: int = 0
    slowest_ns: int = 0
    total_ns: int = 0
    failures: int = 0
    in_a_row: int = 0
    is_cut_off: bool = False


class EventBus:
    """An `EventSink` that hands every event to its subscribers, in the order of subscription.

    Parameters
    ----------
    report : callable, optional
        Called with (name of the subscriber, what is wrong) the first time that it fails, when
        it is cut off, and the first time that it is slow.
    slow_ns : int
        Longer than this is slow.
    """

    def __init__(
        self, report: Callable[[str, str], None] | None = None, slow_ns: int = 1_000_000
    ) -> None:
        self._report = report
        self._slow_ns = slow_ns
        self._subscriptions: list[Subscription] = []
        self._by_topic: dict[str, tuple[Subscription, ...]] = {}

    @property
    def subscriptions(self) -> tuple[Subscription, ...]:
        """Every subscriber with its counts."""
        return tuple(self._subscriptions)

    def subscribe(
        self, topic: str, receive: Callable[[str, object], None], name: str
    ) -> Subscription:
        """Hand events of a topic, or of `ALL`, to a callable.

        Parameters
        ----------
        receive : callable
            Takes topic and event; the event is not to be changed. It should only put the event
            somewhere.
        name : str
            For reports.
        """
        subscription = Subscription(topic, receive, name)
        self._subscriptions.append(subscription)
        self._by_topic.clear()
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Hand it nothing more."""
        self._subscriptions = [s for s in self._subscriptions if s is not subscription]
        self._by_topic.clear()

    def publish(self, topic: str, event: object) -> None:
        """Hand an event to all who want it; never raises an `Exception`."""
        found = self._by_topic.get(topic)
        if found is None:
            found = tuple(s for s in self._subscriptions if s.topic in (topic, ALL))
            self._by_topic[topic] = found
        for subscription in found:
            if subscription.is_cut_off:
                continue
            start = time.perf_counter_ns()
            try:
                subscription.receive(topic, event)
                subscription.in_a_row = 0
            except Exception as error:
                self._count_failure(subscription, topic, error)
            self._measure(subscription, time.perf_counter_ns() - start)

    def _measure(self, subscription: Subscription, taken: int) -> None:
        subscription.calls += 1
        subscription.total_ns += taken
        subscription.slowest_ns = max(subscription.slowest_ns, taken)
        if taken > self._slow_ns:
            subscription.slow += 1
            if subscription.slow == 1:
                self._tell(subscription, f"held the cycle for {taken / 1e6:.1f} ms")

    def _count_failure(self, subscription: Subscription, topic: str, error: Exception) -> None:
        subscription.failures += 1
        subscription.in_a_row += 1
        if subscription.in_a_row == _MAX_FAILURES:
            subscription.is_cut_off = True
            self._tell(subscription, f"failed {_MAX_FAILURES} times in a row and is cut off")
        elif subscription.failures == 1:
            self._tell(subscription, f"failed on {topic}: {error!r}")

    def _tell(self, subscription: Subscription, text: str) -> None:
        if self._report is not None:
            try:
                self._report(subscription.name, text)
            except Exception:
                # There is nobody left to tell; the counts remain.
                self._report = None
