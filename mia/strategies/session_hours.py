"""Hours of the mode as instants of one session, so that no decision asks for a wall clock."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from mia.config.limits import EffectiveLimits

MINUTE_NS = 60_000_000_000
NEVER = 2**63 - 1
"""An instant that no session reaches."""

_NEW_YORK = ZoneInfo("America/New_York")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FLAT_BEFORE_END_MIN = 5
_FRIDAY = 4
_FRIDAY_CUT_MINUTE = 15 * 60


@dataclass(frozen=True, slots=True)
class SessionHours:
    """When a session may open trades and must be flat; ns UTC.

    Attributes
    ----------
    start : int
        First instant of the mode's hours.
    last_entry : int
        From here on nothing is opened (``gate.end_min`` before the end).
    half_after : int
        From here on size is halved.
    flat_at : int
        From here on an open trade is closed.
    friday_cut : int
        15:00 New York on a Friday, else `NEVER`.
    """

    session_id: int
    start: int
    last_entry: int
    half_after: int
    flat_at: int
    friday_cut: int


def session_hours(
    session_id: int, limits: EffectiveLimits, end_min: float = 5.0, t_rth_close: int = NEVER
) -> SessionHours:
    """Place the hours of the mode in a session.

    Parameters
    ----------
    session_id : int
        yyyymmdd.
    limits : EffectiveLimits
        Hours in minutes after midnight, New York.
    end_min : float
        Minutes before the end from which nothing is opened (``gate.end_min``).
    t_rth_close : int
        Close of regular trading, ns UTC; on an early-close day it ends the hours.

    Returns
    -------
    SessionHours
    """
    midnight = datetime(session_id // 10000, session_id // 100 % 100, session_id % 100)

    def instant(minute: int) -> int:
        # The wall clock is shifted before the zone is attached: hours are those of the clock
        # on the wall, also on the two days a year that have 23 or 25 of them.
        local = (midnight + timedelta(minutes=minute)).replace(tzinfo=_NEW_YORK)
        return (local - _EPOCH) // timedelta(microseconds=1) * 1000

    end = min(instant(limits.end_minute), t_rth_close)
    half = instant(limits.half_after_minute)
    return SessionHours(
        session_id=session_id,
        start=instant(limits.start_minute),
        last_entry=end - round(end_min * MINUTE_NS),
        half_after=half if limits.half_after_minute < limits.end_minute else NEVER,
        flat_at=end - _FLAT_BEFORE_END_MIN * MINUTE_NS,
        friday_cut=instant(_FRIDAY_CUT_MINUTE) if midnight.weekday() == _FRIDAY else NEVER,
    )
