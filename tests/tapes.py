"""Tapes for engines: trades mixed with the clock, the book, options and new contracts.

A tape is a list of events in arrival order, each a tuple of a word and its values:

- ``("trade", ts, price, size, side)``
- ``("clock", now)``
- ``("book", ts, bids, asks, spread)``
- ``("options", values)``, fields of `reference.confluence.Options`
- ``("gap", since, until)``: trades between them are missing
- ``("contract", ordinal)``, only ahead of a trade that begins a session
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from random import Random
from typing import Any

import strategies_market as market
from compiled_engine import CompiledEngine
from hypothesis import strategies as st
from reference.conventions import SECOND, Sessions
from reference.engine import ReferenceEngine

Event = tuple[Any, ...]

# Regimes that any market shows, rings that fill soon, and triggers at middling strength.
EASY: dict[str, Any] = {
    "reg.strong": 0.4,
    "reg.strong_counts": 2,
    "reg.slope_strong": 0.0,
    "reg.intact": 1,
    "reg.weak": 0.3,
    "reg.weak_counts": 1,
    "reg.slope_weak": 0.0,
    "reg.respect": 0.5,
    "reg.min_tests": 2,
    "reg.min_minutes": 5.0,
    "reg.size_min_ticks": 4.0,
    "reg.size_min_atr": 0.5,
    "reg.hold_bars": 2,
    "es_pattern.min_strength_P5": 0.5,
    "es_pattern.p2_slope": 0.3,
    "es_pattern.p4_conf": 0.2,
    "es_pattern.repeat_min": 5,
    "bn.score_threshold": 0.15,
    "bn.base_min_quality": 0.3,
    "bn.base_std_ratio": 0.5,
    "range.confirm_bn": 0.1,
    "range.confirm_pattern": 0.3,
    "trend.leg_bars": 15,
    "trend.leg_atr": 1.0,
    "stats.vol_ref_min": 3,
    "feat.tier_min": 5,
    "feat.f5_min_lots": 2,
    "feat.f5_min_run": 1,
    "feat.f8_min_lots": 12,
    "pat.leg_ticks": 2,
    "pat.leg_ticks_color": 3,
    "profile.min_minutes": 1,
    "profile.prev_min_minutes": 1,
    "sources.book": True,
    "sources.options": True,
}


def some_options(r: Random, price: int, ts: int) -> dict[str, Any]:
    def level(reach: int) -> float:
        return r.choice((float("nan"), price + r.randrange(-4 * reach, 4 * reach) / 4))

    return {
        "feature": tuple(r.uniform(-1.0, 1.0) for _ in range(6)),
        "valid": tuple(int(r.random() < 0.7) for _ in range(6)),
        "gamma_flip": level(8),
        "call_wall": level(30),
        "put_wall": level(30),
        "quality": r.choice((0.0, 0.5, 1.0)),
        "ts_quotes": ts - r.randrange(4000) * SECOND,
    }


class _Mixer:
    """Inserts other events among trades."""

    def __init__(self, seed: int, often: float, gaps: bool) -> None:
        self._kinds = ("clock", "book", "book", "book", "options", *(("gap",) if gaps else ()))
        self._random = Random(seed)
        self._often = often
        self._sessions = Sessions()
        self._session_id = 0
        self._newest = self._book_ts = 0
        self._ordinal = 0

    def events(self, trades: Sequence[market.Trade]) -> Iterator[Event]:
        for ts, price, size, side in trades:
            yield from self._before(ts, size)
            yield ("trade", ts, price, size, side)
            self._newest = max(self._newest, ts)
            if self._random.random() < self._often:
                yield self._other(price)

    def _before(self, ts: int, size: int) -> Iterator[Event]:
        session_id = self._sessions.of(ts).session_id
        if size > 0 and session_id > self._session_id:
            self._session_id = session_id
            if self._random.random() < 0.5:
                self._ordinal += 1
                yield ("contract", self._ordinal)

    def _other(self, price: int) -> Event:
        r = self._random
        kind = r.choice(self._kinds)
        if kind == "gap":
            since = self._newest + r.choice((0, 60, 90_000)) * SECOND
            return ("gap", since, since + r.choice((1, 30, 600, 20_000, 200_000)) * SECOND)
        if kind == "clock":
            return ("clock", self._newest + r.choice((0, 5, 20, 60, 3600)) * SECOND)
        if kind == "options":
            return ("options", some_options(r, price, self._newest))
        self._book_ts = max(self._book_ts, self._newest) + r.randrange(2 * SECOND)
        bids, asks = ([r.randrange(9 * (j + 1)) for j in range(5)] for _ in range(2))
        return ("book", self._book_ts, bids, asks, r.choice((0, 1, 1, 1, 2, 3)))


def mixed(
    trades: Sequence[market.Trade], seed: int, often: float = 0.3, gaps: bool = False
) -> list[Event]:
    """Mix trades with other events, about `often` one after a trade."""
    return list(_Mixer(seed, often, gaps).events(trades))


@st.composite
def tapes(draw: Callable[..., Any], gaps: bool = False, **options: Any) -> list[Event]:
    """Draw a tape; `options` are those of `strategies_market.trades`."""
    trades = draw(market.trades(market.UNRULY_KINDS, **options))
    often = draw(st.sampled_from((0.2, 0.6) if gaps else (0.0, 0.2, 0.6)))
    return mixed(trades, draw(st.integers(0, 2**16 - 1)), often, gaps)


def long_tape(seed: int) -> list[Event]:
    """Make a tape of some hundred trades from a seed: long enough for regimes and triggers."""
    r = Random(seed)
    kinds = (*market.UNRULY_KINDS, "trend", "walk", "trend", "walk", "walk")
    if r.random() < 0.5:
        kinds = tuple(kind for kind in kinds if kind not in {"next_session", "idle"})
    segments = [
        (r.choice(kinds), r.randrange(1, 61), r.randrange(2**16)) for _ in range(r.randrange(8, 35))
    ]
    trades = market.play(r.choice(market.STARTS), 16_000 + r.randrange(-40, 41), segments)
    return mixed(trades, seed, r.choice((0.0, 0.02, 0.2)))


def _others(engine: ReferenceEngine | CompiledEngine, event: Event) -> None:
    word, *values = event
    if word == "clock":
        engine.advance(*values)
    elif word == "book":
        engine.on_book(*values)
    elif word == "options":
        engine.set_options(**values[0])
    elif word == "gap":
        engine.mark_gap(*values)
    else:
        engine.set_contract(*values)


def play_on_twin(engine: ReferenceEngine, tape: Sequence[Event]) -> None:
    """Give every event of a tape to the plain engine."""
    for event in tape:
        if event[0] == "trade":
            engine.on_trade(*event[1:])
        else:
            _others(engine, event)


def play_in_batches(engine: CompiledEngine, tape: Sequence[Event]) -> None:
    """Give a tape to the compiled engine, trades that follow one another as one batch."""
    for word, events in groupby(tape, key=lambda event: event[0]):
        if word == "trade":
            engine.on_trades([event[1:] for event in events])
            continue
        for event in events:
            _others(engine, event)


def instants(tape: Sequence[Event]) -> list[int]:
    """Return the times of the trades."""
    return [event[1] for event in tape if event[0] == "trade"]
