"""Counts behind the kill switch: rates of orders and rejects, quality, latency, slippage."""

from collections import deque
from collections.abc import Mapping
from math import isnan
from typing import Any

from mia.strategies.session_hours import MINUTE_NS

_MAX_ORDERS = 20
_MAX_REJECTS = 3
_REJECTS_OF_DAY = 10
_RECORDS = 1000
_MAX_BAD = _RECORDS // 100
_LATENCIES = 100
_MIN_LATENCIES = 20
_MAX_LATENCY_MS = 800.0
_FILLS = 20
_MAX_SLIPPAGE = 3.0


def percentile_95(values: deque[float]) -> float:
    """Return the element of rank ``ceil(0.95 n)``, without interpolation."""
    ordered = sorted(values)
    return ordered[(95 * len(ordered) + 99) // 100 - 1]


class TripCounters:
    """Windows over recent events; each method tells whether its limit is exceeded now."""

    __slots__ = ("_bad", "_fills", "_latencies", "_orders", "_records", "_rejects", "_rejects_day")

    def __init__(self) -> None:
        self._orders: deque[int] = deque(maxlen=_MAX_ORDERS + 1)
        self._rejects: deque[int] = deque(maxlen=_MAX_REJECTS + 1)
        self._rejects_day = 0
        self._records: deque[bool] = deque(maxlen=_RECORDS)
        self._bad = 0
        self._latencies: deque[float] = deque(maxlen=_LATENCIES)
        self._fills: deque[float] = deque(maxlen=_FILLS)

    def new_session(self) -> None:
        """Start the count of the day's rejects afresh."""
        self._rejects_day = 0

    def order(self, ts: int) -> bool:
        """Count an order; true from the 21st within 60 s."""
        return _crowded(self._orders, ts)

    def reject(self, ts: int) -> tuple[bool, bool]:
        """Count a reject; (true from the 4th within 60 s, true from the 10th of the session)."""
        self._rejects_day += 1
        return _crowded(self._rejects, ts), self._rejects_day >= _REJECTS_OF_DAY

    def quality(self, good: bool) -> bool:
        """Count a record; true when a bad one makes more than 1 % of the last 1000.

        Records not yet seen count as good, so one bad record of ten is no alarm.
        """
        if len(self._records) == _RECORDS and not self._records[0]:
            self._bad -= 1
        self._records.append(good)
        if good:
            return False
        self._bad += 1
        return self._bad > _MAX_BAD

    def latency(self, milliseconds: float) -> bool:
        """Note a latency; true if the 95th percentile of the last 100 exceeds 800 ms.

        It needs 20 of them. One that is not a number counts as endless.
        """
        self._latencies.append(_or_endless(milliseconds))
        return (
            len(self._latencies) >= _MIN_LATENCIES
            and percentile_95(self._latencies) > _MAX_LATENCY_MS
        )

    def slippage(self, ticks: float) -> bool:
        """Note the slippage of a fill; true if the 95th percentile of 20 exceeds 3 ticks."""
        self._fills.append(_or_endless(ticks))
        return len(self._fills) == _FILLS and percentile_95(self._fills) > _MAX_SLIPPAGE

    def to_dict(self) -> dict[str, Any]:
        """Return what must survive a restart."""
        return {
            "orders": list(self._orders),
            "rejects": list(self._rejects),
            "rejects_day": self._rejects_day,
            "fills": [None if fill == float("inf") else fill for fill in self._fills],
        }

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> "TripCounters":
        """Take back what `to_dict` returned; quality and latency start afresh.

        Raises
        ------
        KeyError, TypeError, ValueError
            If a field is missing or malformed.
        """
        counters = cls()
        counters._orders.extend(int(ts) for ts in state["orders"])
        counters._rejects.extend(int(ts) for ts in state["rejects"])
        counters._rejects_day = int(state["rejects_day"])
        counters._fills.extend(
            float("inf") if fill is None else float(fill) for fill in state["fills"]
        )
        return counters


def _crowded(instants: deque[int], ts: int) -> bool:
    # The window holds one more than is allowed: it is exceeded when its oldest is still young.
    instants.append(ts)
    return len(instants) == instants.maxlen and ts - instants[0] < MINUTE_NS


def _or_endless(x: float) -> float:
    return float("inf") if isnan(x) else x
