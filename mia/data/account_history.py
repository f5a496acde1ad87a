"""What the journal of a trader keeps of an account's past: closed trades, and uptime."""

from collections.abc import Iterable, Iterator
from dataclasses import fields
from typing import Any

import msgspec

from mia.core.trading_types import ClosedTrade
from mia.data.journal_schema import JournalEvent
from mia.errors import JournalError

TRADE = "closed_trade"
"""Key of a trade's result in the event that saves the cycle after it."""

UPTIME = "uptime"
"""Kind of the event that says how long a run has been ready in a session, seconds."""

_NAMES = tuple(field.name for field in fields(ClosedTrade))


def trade_to_dict(trade: ClosedTrade) -> dict[str, Any]:
    """Return a trade as plain values, for the journal; enumerations by value."""
    plain: dict[str, Any] = msgspec.to_builtins({name: getattr(trade, name) for name in _NAMES})
    return plain


def uptime_to_dict(session_id: int, ready_s: float, open_s: float) -> dict[str, Any]:
    """Return what an `UPTIME` event holds.

    Parameters
    ----------
    ready_s, open_s : float
        Seconds of this run and session in which the trader was ready while the market was open,
        and in which the market was open.
    """
    return {"session_id": session_id, "ready_s": round(ready_s, 3), "open_s": round(open_s, 3)}


def closed_trades(events: Iterable[JournalEvent]) -> Iterator[ClosedTrade]:
    """Yield the results of trades in the order in which they were booked.

    Parameters
    ----------
    events : iterable of JournalEvent
        As `JournalReader.events` yields them.

    Raises
    ------
    JournalError
        If a result cannot be read.
    """
    for event in events:
        saved = event.payload.get(TRADE)
        if saved is None:
            continue
        try:
            yield msgspec.convert(saved, ClosedTrade)
        except msgspec.ValidationError as error:
            raise JournalError(
                f"the trade in event {event.seq} of the journal cannot be read ({error}): it was "
                "written by another version of MIA"
            ) from error
