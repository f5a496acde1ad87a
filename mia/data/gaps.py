"""Holes in a day's data, measured against the hours in which the market was open."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mia.core import sessions
from mia.data.contracts import open_hours

SECOND = 1_000_000_000
QUIET_RTH_NS = 60 * SECOND
"""Silence in regular hours that counts as a gap: there are ten trades a second on average."""

QUIET_NS = 15 * 60 * SECOND
"""Silence at other times that counts as a gap: a slow night has five minutes without a trade."""


def find_gaps(
    times: NDArray[np.int64], contract: str, session_id: int, span_ns: int = 0
) -> list[tuple[int, int]]:
    """Return the spans of open hours without data that are too long to be a quiet market.

    Parameters
    ----------
    times : ndarray of int64
        Ascending times of trades, or starts of bars, ns UTC.
    contract : str
        It stops trading at its expiry.
    session_id : int
        Trade date of `times`.
    span_ns : int
        Time that one row stands for: the width of a bar, 0 for trades.

    Returns
    -------
    list of (int, int)
        Start and end, ns UTC, within open hours. A gap has at least a minute of regular hours
        or a quarter of an hour at all; the pause of earlier years splits it.
    """
    row = sessions.session_table(session_id, session_id)[0]
    rth = int(row["t_rth_open"]), int(row["t_rth_close"])
    gaps: list[tuple[int, int]] = []
    for start, end in open_hours(contract, session_id):
        inside = times[(times >= start) & (times < end)]
        quiet_from = np.concatenate(([start], inside + span_ns))
        quiet_to = np.concatenate((inside, [end]))
        quiet = quiet_to - quiet_from
        in_rth = np.minimum(quiet_to, rth[1]) - np.maximum(quiet_from, rth[0])
        found = np.flatnonzero((quiet >= QUIET_NS) | (in_rth >= QUIET_RTH_NS))
        gaps += zip(quiet_from[found].tolist(), quiet_to[found].tolist(), strict=True)
    return gaps


def gaps_by(gaps: Sequence[tuple[int, int]], session_id: int, now: int) -> list[tuple[int, int]]:
    """Return what of a session's gaps had been seen at an instant: its future is none.

    Parameters
    ----------
    gaps : sequence of (int, int)
        As `find_gaps` returns them.
    session_id : int
        Trade date.
    now : int
        ns UTC.
    """
    row = sessions.session_table(session_id, session_id)[0]
    rth = int(row["t_rth_open"]), int(row["t_rth_close"])
    seen = [(start, min(end, now)) for start, end in gaps]
    return [
        (start, end)
        for start, end in seen
        if end - start >= QUIET_NS or min(end, rth[1]) - max(start, rth[0]) >= QUIET_RTH_NS
    ]


def count_off_hours(times: NDArray[np.int64], spans: Sequence[tuple[int, int]]) -> int:
    """Count the times outside all spans."""
    inside = sum(int(((times >= start) & (times < end)).sum()) for start, end in spans)
    return len(times) - inside
