"""Moves market time: by the clock at some speed, or step by step as clients ask."""

import asyncio
import math
import time
from typing import TYPE_CHECKING

from mia.core.sessions import MINUTE, SECOND
from mia.gateway import replies
from mia.gateway.market import TapeSlice

if TYPE_CHECKING:
    from mia.gateway.server import Gateway

BEAT_S = 0.01
"""Real time between two advances at finite speed."""

SLICE_NS = SECOND // 4


class MarketLoop:
    """Drives one gateway's market.

    Parameters
    ----------
    gateway : Gateway

    Attributes
    ----------
    held : bool
        While set, market time stands still.
    while_down_s : float
        In lock-step, market seconds that pass after the last client has gone; orders are matched.
    """

    def __init__(self, gateway: "Gateway") -> None:
        self._gateway = gateway
        self._changed = asyncio.Event()
        self._waits_for_clients = True
        self.held = False
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
        gateway = self._gateway
        market, speed = gateway.market, gateway.options.speed
        if math.isinf(speed):
            while True:
                await self._until_free()
                self._advance_clock(self._next_step())
                for session in gateway.started():
                    await session.drained()
                await asyncio.sleep(0)
        last = time.monotonic()
        owed = 0.0
        while True:
            await asyncio.sleep(BEAT_S)
            now = time.monotonic()
            owed += 0.0 if self.held else (now - last) * speed * SECOND
            last = now
            until = market.now + int(owed)
            owed -= int(owed)
            while market.now < until:
                following = market.now + SLICE_NS if speed < 20 else self._next_step()
                self._advance_clock(min(until, following))

    def _advance_clock(self, until: int) -> None:
        """Pass over some time: ticks first, then fills."""
        gateway = self._gateway
        by_second = until % SECOND == 0
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

    async def _until_free(self) -> None:
        while self.held:
            self._changed.clear()
            await self._changed.wait()

    async def _run_lockstep(self) -> None:
        gateway = self._gateway
        while True:
            if self._abandoned():
                self._pass_alone(self.while_down_s)
                self._waits_for_clients = True
            await self._all_asked()
            if self._abandoned():
                continue
            pieces = gateway.market.advance(self._next_step())
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

    def _next_step(self) -> int:
        """Return the next second with a trade, or the next full minute if that is earlier."""
        market = self._gateway.market
        minute = (market.now // MINUTE + 1) * MINUTE
        trade = market.next_second()
        return minute if trade is None else min(minute, trade)
