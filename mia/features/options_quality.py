"""How far a chain can be trusted at an instant: each factor of the quality q, in [0, 1].

Every factor is a function of plain values. `mia._fast.options_state` holds the same rules for
the close of a bar; a test keeps both together.
"""

import hashlib
from math import isnan

import numpy as np

from mia.core import sessions
from mia.core.calendar_table import cash_market_opens
from mia.core.chain import Chain

MINUTE = 60_000_000_000
MISSING = 0.2
"""Below this quality the options count as missing."""

EVENING = 0.6
"""Factor of the last quotes of a session until the next morning."""

MAX_RESIDUAL = 1.0
MAX_SPOT_GAP = 0.0015
MIN_TWO_SIDED = 0.80
MIN_EXPIRIES = 0.90
MAX_IV_FAILURES = 0.10


def next_cash_day(session_id: int) -> int:
    """Return the first later session in which the stocks, and so the options, open.

    Raises
    ------
    DataError
        If the calendar ends before it.
    """
    day = sessions.next_trading_day(session_id)
    while not cash_market_opens(day):
        day = sessions.next_trading_day(day)
    return day


def _minute_of(session_id: int, minutes: int) -> int:
    """Return an instant of a date by minutes after New York midnight, ns UTC."""
    row = sessions.session_table(session_id, session_id)[0]
    return int(row["t_pre_market"]) + (minutes - 4 * 60) * MINUTE


def oi_known_at(oi_session: int) -> int:
    """Return 06:30 New York of the cash day after a session: its open interest is known then."""
    return _minute_of(next_cash_day(oi_session), 6 * 60 + 30)


def oi_steps(oi_session: int) -> tuple[int, int, int]:
    """Return when open interest of a session stops being the newest, and grows older.

    Parameters
    ----------
    oi_session : int
        Session whose close it reflects, yyyymmdd; 0 if unknown.

    Returns
    -------
    tuple of int
        Instants (ns UTC) at which the factor falls to 0.5, to 0.2 and to 0: 06:45 New York of
        the second, third and fourth cash day after it. All 0 if the session is unknown.
    """
    if oi_session == 0:
        return 0, 0, 0
    day = next_cash_day(oi_session)
    steps = []
    for _ in range(3):
        day = next_cash_day(day)
        steps.append(_minute_of(day, 6 * 60 + 45))
    return steps[0], steps[1], steps[2]


def q_oi(steps: tuple[int, int, int], now: int) -> float:
    """Judge the age of the open interest by the `oi_steps` of its session."""
    return next((q for step, q in zip(steps, (1.0, 0.5, 0.2), strict=True) if now < step), 0.0)


def in_rth(now: int) -> bool:
    """Tell whether options trade in regular hours at an instant."""
    return sessions.in_rth(now) and sessions.is_trading_day(sessions.session_id(now))


def evening_span(asof: int) -> tuple[int, int]:
    """Return from when to when quotes serve outside regular hours, ns UTC; (0, 0) never.

    Quotes of the last half hour of a cash day, or of the quarter of an hour that options trade
    on, serve from its close until 09:45 New York of the next one.
    """
    session_id = sessions.session_id(asof)
    if not cash_market_opens(session_id):
        return 0, 0
    close = int(sessions.session_table(session_id, session_id)["t_rth_close"][0])
    if not close - 30 * MINUTE <= asof <= close + 15 * MINUTE:
        return 0, 0
    return close, _minute_of(next_cash_day(session_id), 9 * 60 + 45)


def q_quote(asof: int, delayed: bool, now: int, span: tuple[int, int] | None = None) -> float:
    """Judge the age of the quotes.

    Parameters
    ----------
    asof : int
        Time of the quotes, or of their last change if they froze, ns UTC.
    delayed : bool
        The source delivers with a delay.
    now : int
        ns UTC.
    span : tuple of int, optional
        `evening_span` of the quotes.
    """
    q = 0.0
    if in_rth(now):
        minutes = (now - asof) / MINUTE
        q = (60.0 - minutes) / 40.0 if delayed else (30.0 - minutes) / 28.0
        q = min(max(q, 0.0), 1.0)
    start, end = evening_span(asof) if span is None else span
    return max(q, EVENING) if start <= now < end else q


def q_chain(
    *,
    two_sided_share: float,
    parity_residual: float,
    expiries_seen: int,
    expiries_expected: int,
    pcr_oi: float,
    iv_failure_share: float,
    captured_share: float = 1.0,
    spot_gap: float = float("nan"),
) -> float:
    """Judge the chain itself: 0 unless everything holds, then the share of it that is there.

    Parameters
    ----------
    two_sided_share, iv_failure_share : float
        Shares of gross gamma.
    parity_residual : float
        Worst standard deviation over the nearest five expiries, points.
    expiries_seen, expiries_expected : int
    pcr_oi : float
        Put over call open interest; 0, infinite or nan if a side has none.
    captured_share : float
        Of the gross gamma of the last whole chain; 1 for a whole one.
    spot_gap : float
        Relative difference of S between parity and ES less basis; nan if ES is not known, which
        is not held against the chain.
    """
    sound = (
        two_sided_share >= MIN_TWO_SIDED
        and parity_residual < MAX_RESIDUAL
        and expiries_seen > 0
        and expiries_seen >= MIN_EXPIRIES * expiries_expected
        and 0.0 < pcr_oi < float("inf")
        and iv_failure_share < MAX_IV_FAILURES
        and not (not isnan(spot_gap) and abs(spot_gap) >= MAX_SPOT_GAP)
    )
    return min(max(captured_share, 0.0), 1.0) if sound else 0.0


def q_move(moved: float, expected_move: float) -> float:
    """Judge how far the index moved since the snapshot, in expected daily moves."""
    if moved > 2.0 * expected_move + 1e-9:
        return 0.2
    return 0.5 if moved > expected_move + 1e-9 else 1.0


def q_0dte(zero_dte_share: float, elapsed: float) -> float:
    """Age what expires today by the elapsed fraction of regular hours: its contracts turn over."""
    return 1.0 - 0.5 * zero_dte_share * elapsed


def elapsed_fraction(now: int, session_id: int) -> float:
    """Return the elapsed fraction of regular hours if `now` is in those of a session, else 0."""
    row = sessions.session_table(session_id, session_id)[0]
    start, end = int(row["t_rth_open"]), int(row["t_rth_close"])
    return (now - start) / (end - start) if start <= now < end else 0.0


class FreezeDetector:
    """Finds a source that goes on publishing while its quotes stand still.

    `asof` is given every chain in the order received. After two polls of regular hours whose bids
    are those of an earlier chain, their age counts from that chain.
    """

    def __init__(self) -> None:
        self._digest = b""
        self._changed_at = 0
        self._same = 0

    def asof(self, chain: Chain) -> int:
        """Return the time from which the age of a chain's quotes counts, ns UTC."""
        bids = np.ascontiguousarray(chain.bid)
        digest = hashlib.blake2b(bids.tobytes(), digest_size=16).digest()
        asof = chain.meta.quotes_asof
        if digest != self._digest or not len(chain):
            self._digest, self._changed_at, self._same = digest, asof, 0
        elif asof > self._changed_at and in_rth(asof):
            self._same += 1
        return self._changed_at if self._same >= 2 else asof
