"""Numbers of the frame as a trader reads them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from mia.config.instruments import TICK

NOTHING = "-"
_NEW_YORK = ZoneInfo("America/New_York")
_FULL, _PARTS = "█", " ▏▎▍▌▋▊▉"


def price(ticks: float | None) -> str:
    """Return a price in points."""
    return NOTHING if ticks is None else f"{ticks * TICK:.2f}"


def money(usd: float | None) -> str:
    """Return an amount with its sign, in USD."""
    return NOTHING if usd is None else f"{usd:+,.2f}"


def number(value: float | None, digits: int = 2) -> str:
    """Return a number with its sign."""
    return NOTHING if value is None else f"{value:+.{digits}f}"


def plain(value: float | None, digits: int = 2) -> str:
    """Return a number without a sign of its own; whole ones without digits."""
    if value is None:
        return NOTHING
    return f"{value:.0f}" if value == round(value) and abs(value) >= 1 else f"{value:.{digits}f}"


def clock(ts: int | None) -> str:
    """Return an instant, ns UTC, as the time of day in New York."""
    if not ts:
        return NOTHING
    return f"{datetime.fromtimestamp(ts // 1_000_000_000, UTC).astimezone(_NEW_YORK):%H:%M:%S}"


def span(seconds: float | None) -> str:
    """Return how long something lasted."""
    if seconds is None:
        return NOTHING
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} days"


def latency(ns: float | None) -> str:
    """Return a short time in the unit that suits it."""
    if ns is None:
        return NOTHING
    for unit, size in (("ns", 1e3), ("us", 1e6), ("ms", 1e9)):
        if ns < 0.9995 * size:
            return f"{ns / size * 1e3:.3g} {unit}"
    return f"{ns / 1e9:.3g} s"


def quantile(counts: Sequence[int], share: float) -> float | None:
    """Return the time, in ns, that a share of all did not exceed; None if there was none.

    Parameters
    ----------
    counts : sequence of int
        ``counts[k]`` is how often it took from ``2**k`` up to ``2**(k + 1)`` ns. Within a
        power of two the logarithm is taken to be uniform.
    share : float
        In (0, 1].
    """
    total = sum(counts)
    if total == 0:
        return None
    wanted, seen = share * total, 0
    for k, count in enumerate(counts):
        if count and seen + count >= wanted:
            return float(2.0 ** (k + (wanted - seen) / count))
        seen += count
    return float(2.0 ** len(counts))


def bar(share: float, width: int) -> str:
    """Draw a share of 0 to 1 as a bar of blocks; what lies outside is cut."""
    eighths = round(min(max(share, 0.0), 1.0) * width * 8)
    whole, rest = divmod(eighths, 8)
    return (_FULL * whole + (_PARTS[rest] if rest else "")).ljust(width)


def side(sign: int) -> str:
    """Return the word for a side of the market."""
    return "long" if sign > 0 else "short" if sign < 0 else "flat"
