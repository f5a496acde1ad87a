"""What is followed on paper survives the end of the trader: the journal knows what was begun.

Nothing of how a trade on paper stands is kept, because that follows from its decision and the
market: a run that is started again follows it from there, over the past that it learns anyway.
"""

import base64
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from mia.core.trading_types import ClosedTrade, Context, Decision
from mia.execution.live.recovery import Append, grounds_from_text, grounds_to_text
from mia.execution.position.refused_trades import UNSEEN

log = logging.getLogger(__name__)

KIND = "paper"
"""Kind of the journal's events that say what is followed on paper."""

TOPICS = frozenset({"following", "followed", "unfollowed"})

UNWRITTEN_NS = 10 * 1_000_000_000
"""A result that was told so shortly before the end may have reached no snapshot."""


class Unfinished(NamedTuple):
    """What an earlier run followed on paper and may not have brought to its end.

    Attributes
    ----------
    begun : list of (Decision, Context)
        Without a result.
    told : list of ClosedTrade
        Results of the last moments, which may be nowhere but in the journal.
    """

    begun: list[tuple[Decision, Context]]
    told: list[ClosedTrade]


class PaperJournal:
    """An `EventSink` that writes what is followed on paper when it begins and when it ends.

    Parameters
    ----------
    append : callable
        See `mia.execution.live.recovery.Append`.
    now : callable
        Time of the record, ns UTC.
    """

    def __init__(self, append: Append, now: Callable[[], int]) -> None:
        self._append = append
        self._now = now

    def publish(self, topic: str, event: Any) -> None:
        """Write an event of `TOPICS`, pass over others."""
        if topic not in TOPICS:
            return
        if topic == "following":
            name, decision, context = event
            more = {"grounds": grounds_to_text(decision, context)}
        elif topic == "followed":
            name = event.trade_id
            more = {"trade": base64.b64encode(msgspec.msgpack.encode(event)).decode("ascii")}
        else:
            name, why = event
            more = {"why": why}
            if why == UNSEEN:
                log.warning("%s is followed on paper no more: its market was not seen whole", name)
        self._append(KIND, {"event": topic.upper(), "trade_id": name, **more}, ts=self._now())


def unfinished(events: Iterable[tuple[int, str, Mapping[str, Any]]]) -> Unfinished:
    """Return what earlier runs left unfinished.

    Parameters
    ----------
    events : iterable of (ts, kind, payload)
        Of the journal, in order. One that cannot be read is told and passed over: a label is lost.

    Returns
    -------
    Unfinished
    """
    begun: dict[str, tuple[Decision, Context]] = {}
    told: dict[str, tuple[int, ClosedTrade]] = {}
    last = 0
    for ts, kind, payload in events:
        last = max(last, ts)
        if kind != KIND:
            continue
        try:
            name, what = str(payload["trade_id"]), payload["event"]
            if what == "FOLLOWING":
                begun[name] = grounds_from_text(payload["grounds"])
                continue
            begun.pop(name, None)
            if what == "FOLLOWED":
                packed = base64.b64decode(payload["trade"])
                told[name] = (ts, msgspec.msgpack.decode(packed, type=ClosedTrade))
        except (KeyError, TypeError, ValueError, msgspec.MsgspecError) as error:
            log.warning("a trade followed on paper cannot be taken up: %r", error)
    recent = [trade for ts, trade in told.values() if last - ts < UNWRITTEN_NS]
    return Unfinished(list(begun.values()), recent)
