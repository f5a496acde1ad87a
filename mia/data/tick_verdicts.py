"""Why a tick was refused, and what needs no memory of other ticks to say so."""

from enum import StrEnum
from math import isfinite

import numpy as np

from mia.core import sessions

UNREPORTED = 2
"""Bit of the wire's mask on a trade that is not part of the tape of prices."""


class Refusal(StrEnum):
    """Why a tick was refused."""

    CONNECTOR = "CONNECTOR"
    NOT_A_NUMBER = "NOT_A_NUMBER"
    OFF_GRID = "OFF_GRID"
    PRICE_RANGE = "PRICE_RANGE"
    SIZE = "SIZE"
    TIME_BACK = "TIME_BACK"
    AHEAD = "AHEAD"
    CLOSED = "CLOSED"
    CROSSED = "CROSSED"
    JUMP = "JUMP"


class DataFault(StrEnum):
    """Why the data as a whole cannot be trusted now."""

    STALE = "STALE"
    QUOTES_FROZEN = "QUOTES_FROZEN"


def not_whole(value: float) -> Refusal | None:
    """Say why a value is no whole number, None if it is one."""
    if not isinstance(value, int | float | np.integer | np.floating) or not isfinite(value):
        return Refusal.NOT_A_NUMBER
    return None if value == int(value) else Refusal.OFF_GRID


def is_trading(ts: int) -> bool:
    """Whether the market trades in the session of an instant."""
    instants = np.array([ts], np.int64)
    return bool(sessions.covered(instants)[0]) and sessions.is_trading_day(sessions.session_id(ts))
