"""The six option features, and the history that some of them are measured against.

Each feature is in [-1, 1] before it is multiplied by the quality; nan means that it has no value.
Index prices are points.
"""

from collections import deque
from collections.abc import Sequence
from math import copysign, isnan, log, nan
from statistics import median
from sys import float_info
from typing import NamedTuple

FEATURES = ("gamma_ratio", "flip_dist", "wall_pos", "hedge_flow", "skew", "term")
"""F9 to F14."""

MIN_SESSIONS = 60
MAX_SESSIONS = 252
MAD_TO_SD = 1.4826
_LEAST = float_info.min


def _clip(value: float) -> float:
    return value if isnan(value) else min(max(value, -1.0), 1.0)


def gamma_ratio(ratio: float, history: Sequence[float] = ()) -> float:
    """Return F9: + dealers damp moves, - they amplify them.

    Parameters
    ----------
    ratio : float
        Signed over gross gamma.
    history : sequence of float
        One ratio for each previous session; from 60 on the rank among them decides.
    """
    if isnan(ratio) or len(history) < MIN_SESSIONS:
        return _clip(ratio / 0.30)
    below = sum(value < ratio for value in history)
    ties = sum(value == ratio for value in history)
    return 2.0 * (below + 0.5 * ties) / len(history) - 1.0


def flip_dist(spot: float, flip: float, expected_move: float, gex: float) -> float:
    """Return F10: + above the flip; the sign of gamma where there is no flip."""
    if isnan(flip):
        return copysign(1.0, gex) if gex else 0.0
    return _clip((spot - flip) / (3.0 * expected_move)) if expected_move > 0.0 else nan


def wall_pos(spot: float, call_wall: float, put_wall: float, expected_move: float) -> float:
    """Return F11: +1 at the call wall, -1 at the put wall; nan if they are too close to part."""
    width = call_wall - put_wall
    if isnan(width) or width <= 0.0 or width < 0.5 * expected_move - 1e-9:
        return nan
    return _clip((spot - 0.5 * (call_wall + put_wall)) / (0.5 * width))


def hedge_flow(
    cex: float,
    vex: float,
    days: float,
    dvol: float,
    dollars: Sequence[float],
    flows: Sequence[float],
) -> tuple[float, float]:
    """Return F12 (+ dealers buy into the close) and the flow x that it is made of.

    Parameters
    ----------
    cex, vex : float
        USD per calendar day and per vol point.
    days : float
        To the close of regular hours.
    dvol : float
        Expected change of volatility, vol points.
    dollars : sequence of float
        ES dollar volume of the same remaining window, one for each of the last 20 sessions.
    flows : sequence of float
        x of this half hour in previous sessions, at most 60 of them.
    """
    usual = 0.05 * median(dollars) if len(dollars) >= 20 else 0.0
    if usual <= 0.0:
        return nan, nan
    flow = -(cex * days + vex * dvol) / usual
    return (_clip(flow - median(flows)) if len(flows) >= 20 else nan), flow


def skew(value: float, history: Sequence[float] = ()) -> float:
    """Return F13: + puts are dear against their own past.

    Parameters
    ----------
    value : float
        (IV of the 25-delta put less that of the call) over that at the money, at 30 days.
    history : sequence of float
        One value for each previous session; below 60 a fixed scale decides.
    """
    if isnan(value) or len(history) < MIN_SESSIONS:
        return _clip((value - 0.30) / 0.15)
    middle = median(history)
    spread = median(abs(past - middle) for past in history)
    return _clip((value - middle) / (3.0 * MAD_TO_SD * spread)) if spread > 0.0 else 0.0


def term(front: float, back: float) -> float:
    """Return F14: + stress, near volatility above far (VIX and VIX3M, or 30 and 90 days)."""
    if not (front > 0.0 and back > 0.0):
        return nan
    # Of extremes the ratio is 0, which has no logarithm.
    return _clip((log(max(front / back, _LEAST)) + 0.08) / 0.15)


class SessionValues(NamedTuple):
    """What one session adds to the history."""

    gamma_ratio: float
    skew: float


class OptionsHistory:
    """Gamma ratio and skew of previous sessions, the last usable value of each.

    A session counts once a later one is seen, so the one under way is never in its own history.
    """

    def __init__(self) -> None:
        self._ratios: deque[float] = deque(maxlen=MAX_SESSIONS)
        self._skews: deque[float] = deque(maxlen=MAX_SESSIONS)
        self._session_id = 0
        self._newest = SessionValues(nan, nan)

    def open_session(self, session_id: int) -> None:
        """Commit the session before, if `session_id` is a later one."""
        if session_id <= self._session_id:
            return
        for values, value in zip((self._ratios, self._skews), self._newest, strict=True):
            if not isnan(value):
                values.append(value)
        self._session_id = session_id
        self._newest = SessionValues(nan, nan)

    def record(self, ratio: float, skew_30d: float) -> None:
        """Replace the values of the session under way; nan leaves the one before."""
        held = self._newest
        self._newest = SessionValues(
            held.gamma_ratio if isnan(ratio) else ratio,
            held.skew if isnan(skew_30d) else skew_30d,
        )

    @property
    def gamma_ratios(self) -> tuple[float, ...]:
        """Gamma ratios of at most 252 previous sessions, oldest first."""
        return tuple(self._ratios)

    @property
    def skews(self) -> tuple[float, ...]:
        """Skews of at most 252 previous sessions, oldest first."""
        return tuple(self._skews)
