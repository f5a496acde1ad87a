"""A feed for tests: what the wire sends for a tape, good ticks and bad ones."""

from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import numpy as np

from mia.core.base_types import MISSING_PRICE, TradeBlock
from mia.data.live_ticks import TickGate
from mia.data.tape import Tape

SECOND = 1_000_000_000
COLUMNS = ("ts_event", "price", "size", "aggressor_side", "bid_price", "ask_price")
MAX_PRICE = 120_000


class StandingClock:
    """A clock that is set by hand."""

    def __init__(self, now: int = 0) -> None:
        self.ts = now

    def now(self) -> int:
        return self.ts


class Quality:
    """Notes what a gate tells."""

    def __init__(self) -> None:
        self.good = self.bad = 0

    def __call__(self, ts: int, good: bool) -> None:
        self.good += good
        self.bad += not good


Tick = tuple[Any, ...]


def wire_ticks(block: TradeBlock, quote: list[int]) -> Iterator[Tick]:
    """Yield ("quote", ts, bid, ask) if it differs from the last sent, then ("trade", ...)."""
    rows = zip(*(getattr(block, name).tolist() for name in COLUMNS), strict=True)
    for ts, price, size, _, bid, ask in rows:
        ts_sent = ts // SECOND * SECOND
        if [bid, ask] != quote and (bid, ask) != (MISSING_PRICE, MISSING_PRICE):
            quote[:] = bid, ask
            yield ("quote", ts_sent, bid, ask)
        yield ("trade", ts_sent, price, size)


def send(gate: TickGate, tick: Tick) -> bool:
    """Give one tick to a gate."""
    word, ts, *values = tick
    if word == "quote":
        return gate.on_quote(ts, *values)
    if word == "trade":
        return gate.on_trade(ts, *values)
    gate.on_bad_tick(ts)
    return False


def bad_ticks(r: Random, ts: int, price: int, size: int, bid: int, ask: int) -> list[Tick]:
    """Return one bad tick of each kind, made from a good trade and its quote."""
    nan, inf = float("nan"), float("inf")
    jump = r.choice((-1, 1)) * r.randrange(200, 800)
    return [
        ("trade", ts, nan, size),
        ("trade", ts, inf, size),
        ("trade", ts, -inf, size),
        ("trade", ts, 0, size),
        ("trade", ts, -price, size),
        ("trade", ts, price + 0.5, size),
        ("trade", ts, price * 100, size),
        ("trade", ts, price // 100, size),
        ("trade", ts, price, 0),
        ("trade", ts, price, -size),
        ("trade", ts, price, nan),
        ("trade", ts, price, 10**9),
        ("trade", ts, price, size + 0.25),
        ("trade", ts, price + jump, size),
        ("trade", ts - 3600 * SECOND, price, size),
        ("trade", ts + 3600 * SECOND, price, size),
        ("trade", ts + 10**9 * SECOND, price, size),
        ("trade", ts, None, size),
        ("quote", ts, ask + 1, bid - 1),
        ("quote", ts, nan, ask),
        ("quote", ts, bid, -inf),
        ("quote", ts, 0, ask),
        ("quote", ts, bid + 0.5, ask + 0.5),
        ("quote", ts, bid * 100, ask * 100),
        ("quote", ts, bid + jump, ask + jump),
        ("quote", ts - 3600 * SECOND, bid, ask),
        ("quote", ts + 3600 * SECOND, bid, ask),
        ("refused", ts),
    ]


def joined(blocks: list[TradeBlock]) -> dict[str, np.ndarray]:
    """Join the columns of blocks."""
    return {name: np.concatenate([getattr(b, name) for b in blocks]) for name in COLUMNS}


def through_a_gate(
    tape: Tape,
    *,
    bad_every: int = 0,
    seed: int = 0,
    packet: int = 64,
    tell: Callable[[int, bool], object] | None = None,
) -> tuple[list[TradeBlock], TickGate, Quality, int]:
    """Send a tape through a gate, a bad tick about every `bad_every` good ones.

    Returns the blocks that came out, the gate, what it told, and how many ticks were bad.
    """
    r, quality, clock = Random(seed), Quality(), StandingClock()
    blocks: list[TradeBlock] = []
    quote = [MISSING_PRICE, MISSING_PRICE]
    gate: TickGate | None = None
    injected = 0
    for block in tape.blocks():
        if gate is None:
            gate = TickGate(clock, tell or quality, block.contract, MAX_PRICE, capacity=16)
        elif gate.contract != block.contract:
            gate.start_contract(block.contract)
            quote[:] = MISSING_PRICE, MISSING_PRICE
        for k, tick in enumerate(wire_ticks(block, quote)):
            clock.ts = tick[1] + SECOND
            if bad_every and tick[0] == "trade" and r.randrange(bad_every) == 0:
                bad = bad_ticks(r, *tick[1:], *quote)
                send(gate, bad[injected % len(bad)])
                injected += 1
            send(gate, tick)
            if k % packet == 0 and (part := gate.take()) is not None:
                blocks.append(part)
        if (part := gate.take()) is not None:
            blocks.append(part)
    assert gate is not None
    return blocks, gate, quality, injected
