"""Moves market time: by the clock at some speed, or step by step as clients ask."""

import asyncio
import math
import time
from typing import TYPE_CHECKING

from mia.core.sessions import MINUTE, SECOND
from mia.gateway.market.tape_market import TapeSlice
from mia.gateway.protocol import replies

if TYPE_CHECKING:
    from mia.gateway.server import Gateway

BEAT_S = 0.01
"""Real time between two advances at finite speed."""

MOST_BUSY_S = 0.05
MOST_OWED_S = 0.25
"""Real time in one go, and how far behind market time may fall, before clients are heard."""

SLICE_NS = SECOND // 4
SMOOTH_BELOW = 20.0
"""Speed below which trades come when they happened rather than at their full second."""


class MarketLoop:
    """Drives one gateway's market.

    Parameters
    ----------
    gateway : Gateway

    Attributes
    ----------
    held : bool
        While set, market time stands still.
    speed : float
        Market seconds a second without lock-step; at infinity the market moves as fast as clients
        read, and stands still without one.
    while_down_s : float
        In lock-step, market seconds that pass after the last client has gone; orders are matched.
    """

    def __init__(self, gateway: "Gateway") -> None:
        self._gateway = gateway
        self._changed = asyncio.Event()
        self._waits_for_clients = True
        self.held = False
        self.speed = gateway.options.speed
        self.while_down_s = gateway.options.while_down_s

    def wake(self) -> None:
        """Look again whether a step may begin."""
        self._changed.set()

    async def run(self) -> None:
        """Run until cancelled."""
        if self._gateway.options.lockstep:
            await self._run_lockstep()
        else:
            await self._run_clock()

    async def _run_clock(self) -> None:
        last = time.monotonic()
        owed = 0.0
        while True:
            if math.isinf(self.speed):
                await self._step_as_read()
                last = time.monotonic()
                continue
            await asyncio.sleep(BEAT_S)
            now = time.monotonic()
            if math.isinf(self.speed):
                continue
            owed += 0.0 if self.held else (now - last) * self.speed
            last = now
            # A speed beyond what the machine can do must not keep clients from being heard.
            owed = min(owed, MOST_OWED_S * self.speed)
            until = self._gateway.market.now + int(owed * SECOND)
            if self._gateway.options.wall and not self.held:
                until = time.time_ns()
            owed -= self._catch_up(until, now + MOST_BUSY_S)

    def _catch_up(self, until: int, deadline: float) -> float:
        """Move market time towards `until`; return the seconds that it moved."""
        market = self._gateway.market
        before = market.now
        while market.now < until and time.monotonic() < deadline:
            if self.speed < SMOOTH_BELOW:
                self._advance_clock(min(until, market.now + SLICE_NS), by_second=False)
            elif self._gateway.needs_seconds():
                self._advance_clock(min(until, self._next_step()))
            else:
                self._advance_clock(min(until, self._next_minute()))
        return (market.now - before) / SECOND

    async def _step_as_read(self) -> None:
        """Take a step and wait until all clients have read it."""
        while self.held or not self._gateway.started():
            self._changed.clear()
            await self._changed.wait()
        slowly = self._gateway.needs_seconds()
        self._advance_clock(self._next_step() if slowly else self._next_minute())
        for session in self._gateway.started():
            await session.drained()
        await asyncio.sleep(0)

    def _advance_clock(self, until: int, *, by_second: bool = True) -> None:
        """Pass over some time: ticks first, then fills."""
        gateway = self._gateway
        pieces = gateway.market.advance(until, by_second=by_second)
        for piece in pieces:
            gateway.publish(piece)
        self._match(pieces)
        gateway.exchange.set_time(gateway.market.now)
        gateway.sample()

    def _match(self, pieces: list[TapeSlice]) -> None:
        for piece in pieces:
            at = piece.start
            while at < piece.stop:
                at, _ = self._gateway.match(piece, at)

    async def _run_lockstep(self) -> None:
        gateway = self._gateway
        while True:
            if self._abandoned():
                self._pass_alone(self.while_down_s)
                self._waits_for_clients = True
            await self._all_asked()
            if self._abandoned():
                continue
            pieces = gateway.market.advance(self._next_lockstep())
            gateway.exchange.set_time(gateway.market.now)
            for piece in pieces:
                gateway.publish(piece)
            gateway.sample()
            await self._answer()
            for piece in pieces:
                at = piece.start
                while at < piece.stop:
                    at, filled = gateway.match(piece, at)
                    if filled:
                        await self._answer()

    async def _answer(self) -> None:
        """Mark the end of a step on every connection, and wait until all have asked again."""
        now = self._gateway.market.now
        for session in self._gateway.started():
            for _ in range(session.asked):
                session.send(*replies.current_time(now))
            session.asked = 0
            session.flush()
        await self._all_asked()

    def _abandoned(self) -> bool:
        """Tell whether all clients have gone, and the market runs on without them."""
        alone = not self._gateway.started()
        return alone and not self._waits_for_clients and self.while_down_s > 0

    async def _all_asked(self) -> None:
        while True:
            clients = self._gateway.started()
            if clients and all(session.asked for session in clients) and not self.held:
                self._waits_for_clients = False
                return
            if self._abandoned():
                return
            self._changed.clear()
            await self._changed.wait()

    def jump(self, seconds: float) -> None:
        """Let the market run on at once, with everything that is sent on the way."""
        gateway = self._gateway
        end = gateway.market.now + int(seconds * SECOND)
        while gateway.market.now < end:
            self._advance_clock(min(end, self._next_step()))

    def _pass_alone(self, seconds: float) -> None:
        """Let the market run while no client is there; orders are matched."""
        gateway = self._gateway
        end = gateway.market.now + int(seconds * SECOND)
        while gateway.market.now < end:
            self._match(gateway.market.advance(min(end, self._next_step())))
            gateway.exchange.set_time(gateway.market.now)

    def _next_lockstep(self) -> int:
        """Return the end of the next step.

        By the minute, what is left of one without orders is a single step: clients that decide
        at full minutes see the same, and nothing can fill.
        """
        gateway = self._gateway
        minute, trade = self._next_minute(), gateway.market.next_second()
        whole = gateway.options.lockstep_by_minute and not gateway.needs_seconds()
        if whole and trade is not None and trade < minute:
            return minute - SECOND
        return self._next_step()

    def _next_step(self) -> int:
        """Return the next second with a trade, or the next full minute if that is earlier."""
        minute, trade = self._next_minute(), self._gateway.market.next_second()
        return minute if trade is None else min(minute, trade)

    def _next_minute(self) -> int:
        return (self._gateway.market.now // MINUTE + 1) * MINUTE
