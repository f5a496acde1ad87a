"""Hypothesis strategies for synthetic trades and bars.

A market is drawn as a short list of segments, each with a kind, a length and a seed, and then
played out; dropping or shortening segments is how hypothesis shrinks it. Results are plain lists
of tuples of int, in arrival order:

- a trade is ``(ts, price, size, side)``: ns UTC, ticks, contracts, +1, -1 or 0;
- a bar is ``(t_open, t_close, open, high, low, close, volume, bid_volume, ask_volume)``.

`mirrored_trades` and `mirrored_bars` turn a market upside down.
"""

from collections.abc import Callable, Iterable, Sequence
from random import Random

from hypothesis import strategies as st
from reference.conventions import SECOND, Sessions

Trade = tuple[int, int, int, int]
Bar = tuple[int, int, int, int, int, int, int, int, int]

STARTS = (
    1709649000,  # Tuesday 2024-03-05 09:30 New York, winter time
    1709659800,  # the same day 12:30: lunch
    1709670600,  # the same day 15:30: a drive runs into the close
    1709593200,  # 18:00 of the evening before: the session's first second
    1709638200,  # 06:30: two phases before the open
    1710108000,  # Sunday 2024-03-10 18:00, the first session of summer time
    1730727000,  # Monday 2024-11-04 08:30, the first session of winter time
)
"""Seconds since 1970 at which markets begin."""

STEPS = ("walk", "burst", "zero")
"""Kinds of trades between which price moves by at most one tick."""
TRADE_KINDS = (*STEPS, "trend", "jump", "blocks", "unknown", "idle", "next_session")
"""Kinds of trades that every implementation accepts or ignores alike."""
UNRULY_KINDS = (*TRADE_KINDS, "late", "faulty")
"""With trades older than the open bar, negative sizes and trades of the session before."""
BAR_KINDS = ("trend", "range", "noise", "flat", "spike", "swings", "gap", "next_session")
"""Kinds of bars."""


def _segments(
    kinds: Sequence[str], max_segments: int, max_length: int
) -> st.SearchStrategy[list[tuple[str, int, int]]]:
    segment = st.tuples(
        st.sampled_from(kinds), st.integers(1, max_length), st.integers(0, 2**16 - 1)
    )
    return st.lists(segment, min_size=1, max_size=max_segments)


class _Tape:
    """Writes trades segment by segment."""

    def __init__(self, start: int, price: int) -> None:
        self._sessions = Sessions()
        self.ts = start * SECOND
        self.price = price
        self.trades: list[Trade] = []

    def play(self, kind: str, length: int, seed: int) -> None:
        r = Random(seed)
        drift = r.choice((-1, 1))
        for k in range(length):
            self._wait(kind, k, r)
            self.price += self._step(kind, k, r, drift)
            self.trades.append(self._print(kind, r))

    def _wait(self, kind: str, k: int, r: Random) -> None:
        if kind == "idle":
            self.ts += r.randrange(20, 900) * SECOND
        elif kind == "next_session" and k == 0:
            self.ts = self._sessions.of(self.ts).t_end + r.choice((0, 1, 90)) * SECOND
        elif kind == "burst":
            self.ts += 0 if k else r.randrange(SECOND)
        else:
            self.ts += r.choice((0, 1, r.randrange(SECOND), r.randrange(8 * SECOND)))

    def _step(self, kind: str, k: int, r: Random, drift: int) -> int:
        if kind == "jump":
            return r.randrange(-12, 13)
        if kind == "trend":
            return drift * r.choice((0, 1, 1, 2)) - drift * (k % 7 == 0)
        return r.choice((-1, 0, 0, 1))

    def _print(self, kind: str, r: Random) -> Trade:
        ts, size = self.ts, r.choice((1, 1, 2, 3, 5, 12, 40))
        side = r.choice((-1, 1))
        if kind == "blocks":
            size = r.choice((99, 100, 250, 499, 500, 800))
        elif kind == "zero":
            size = r.choice((0, 0, 1))
        elif kind == "unknown":
            side = r.choice((0, 0, side))
        elif kind == "late":
            ts -= r.randrange(90 * SECOND)
        elif kind == "faulty":
            size, ts = r.choice(((-size, ts), (size, ts - 86400 * SECOND), (size, ts)))
        return ts, self.price, size, side


def play(start: int, price: int, segments: Iterable[tuple[str, int, int]]) -> list[Trade]:
    """Play (kind, length, seed) segments from a second since 1970 and a price in ticks."""
    tape = _Tape(start, price)
    for segment in segments:
        tape.play(*segment)
    return tape.trades


@st.composite
def trades(
    draw: Callable[..., object],
    kinds: Sequence[str] = TRADE_KINDS,
    max_segments: int = 8,
    max_length: int = 30,
    price: int = 16000,
) -> list[Trade]:
    """Draw trades of one contract.

    Parameters
    ----------
    kinds : sequence of str
        Segments to draw from: `STEPS`, `TRADE_KINDS`, `UNRULY_KINDS` or a choice of them.
    max_segments, max_length : int
        Most segments, and trades in a segment.
    price : int
        First price in ticks, give or take 40.
    """
    start, first = draw(st.sampled_from(STARTS)), price + draw(st.integers(-40, 40))
    return play(start, first, draw(_segments(kinds, max_segments, max_length)))


class _Chart:
    """Draws bars segment by segment."""

    def __init__(self, start: int, price: int, width_s: int) -> None:
        self._sessions = Sessions()
        self._width = width_s * SECOND
        self.ts = start * SECOND
        self.price = price
        self.bars: list[Bar] = []

    def play(self, kind: str, length: int, seed: int) -> None:
        r = Random(seed)
        drift = r.choice((-1, 1))
        if kind == "gap":
            self.ts += r.randrange(1, 30) * self._width
            return
        if kind == "next_session":
            self.ts = self._sessions.of(self.ts).t_end
            return
        base, height, period = self.price, r.randrange(8, 24), r.randrange(5, 11)
        for k in range(length):
            self._bar(kind, self._target(kind, k, r, (drift, base, height, period)), r)

    def _target(self, kind: str, k: int, r: Random, shape: tuple[int, int, int, int]) -> int:
        drift, base, height, period = shape
        leg = abs((k + 1) % period * 2 - period)  # a triangle between 0 and period
        if kind == "trend":
            return base + drift * ((k + 1) * 2 + height - leg * height // period)
        if kind in {"range", "swings"}:
            return base + drift * (height * (1 + (kind == "swings")) * (period - leg) // period)
        if kind == "spike" and k % 9 == 8:
            return self.price + drift * r.randrange(0, 3)
        if kind == "flat":
            return self.price
        return self.price + r.randrange(-4, 5)

    def _bar(self, kind: str, target: int, r: Random) -> None:
        opened = self.price + r.choice((0, 0, 0, -1, 1))
        reach = 12 if kind == "spike" and r.random() < 0.2 else 3
        wick = r.choice((0, 1, reach))
        high = max(opened, target) + r.randrange(wick + 1)
        low = min(opened, target) - r.randrange(wick + 1)
        if kind == "flat" and r.random() < 0.4:
            opened = high = low = target
        volume = r.randrange(200, 1600) * (4 if r.random() < 0.08 else 1)
        known = r.choice((volume, volume, volume, volume * 9 // 10, 0))
        lean = r.uniform(0.3, 0.7) + 0.1 * ((target > opened) - (target < opened))
        ask = int(known * min(lean, 1.0))
        self.bars.append(
            (self.ts, self.ts + self._width, opened, high, low, target, volume, known - ask, ask)
        )
        self.price = target
        self.ts += self._width


@st.composite
def bars(
    draw: Callable[..., object],
    kinds: Sequence[str] = BAR_KINDS,
    max_segments: int = 4,
    max_length: int = 25,
    price: int = 16000,
    width_s: int = 60,
) -> list[Bar]:
    """Draw ready-made bars of one contract, at least one, on the grid of their width.

    Parameters
    ----------
    kinds : sequence of str
        Segments to draw from, a choice of `BAR_KINDS`.
    max_segments, max_length : int
        Most segments, and bars in a segment.
    price : int
        First price in ticks, give or take 40.
    width_s : int
        Width in seconds, a divisor of 1800.
    """
    start = draw(st.sampled_from(STARTS))
    chart = _Chart(start, price + draw(st.integers(-40, 40)), width_s)
    for segment in draw(_segments(kinds, max_segments, max_length)):
        chart.play(*segment)
    if not chart.bars:
        chart.play("noise", 1, 0)
    return chart.bars


def mirrored_trades(market: Sequence[Trade]) -> list[Trade]:
    """Negate prices and sides."""
    return [(ts, -price, size, -side) for ts, price, size, side in market]


def mirrored_bars(market: Sequence[Bar]) -> list[Bar]:
    """Negate prices, swap high and low, bid and ask volume."""
    return [
        (t_open, t_close, -o, -low, -high, -c, volume, ask, bid)
        for t_open, t_close, o, high, low, c, volume, bid, ask in market
    ]
