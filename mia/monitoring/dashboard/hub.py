"""The newest frame for every browser: one slot each, newest wins, a stuck one is let go.

One task looks at the trader ten times a second. A browser that is slow gets fewer frames, never
a queue of them; one that takes nothing for `SEND_TIMEOUT_S` is disconnected. The trader knows
of none of this: its memory is only read.
"""

import asyncio
import json
import time
from contextlib import suppress
from pathlib import Path

from starlette.websockets import WebSocket, WebSocketDisconnect

from mia.monitoring.dashboard import lines
from mia.monitoring.dashboard.sight import Sight, TraderSight

SEND_TIMEOUT_S = 5.0
MOST_CLIENTS = 64
_FULL = 1013
"""Close code: try again later."""
_STUCK = 1008


class Slot:
    """What one browser has yet to be sent.

    Attributes
    ----------
    dropped : int
        Frames that a newer one replaced before they were sent.
    """

    def __init__(self) -> None:
        self.event = asyncio.Event()
        self.seen = 0
        self.dropped = 0


class Hub:
    """Looks at the trader and sends to browsers.

    Parameters
    ----------
    state_dir : Path
    hz : float
        Looks a second.
    send_timeout_s : float

    Attributes
    ----------
    dropped, stuck : int
        Frames that were replaced, and browsers that were disconnected, in all.
    sight : Sight
        The newest look.
    """

    def __init__(
        self, state_dir: Path, hz: float = 10.0, send_timeout_s: float = SEND_TIMEOUT_S
    ) -> None:
        self._state_dir = state_dir
        self._trader = TraderSight(state_dir)
        self._period = 1.0 / hz
        self._send_timeout_s = send_timeout_s
        self._slots: set[Slot] = set()
        self._version = 0
        self._files: dict[str, int | None] = {}
        self._files_due = 0.0
        self.sight = Sight()
        self.dropped = 0
        self.stuck = 0

    async def run(self) -> None:
        """Look, for ever."""
        due = time.monotonic()
        try:
            while True:
                self.look()
                due = max(due + self._period, time.monotonic())
                await asyncio.sleep(due - time.monotonic())
        finally:
            self._trader.close()

    def look(self) -> None:
        """Look once, and wake every browser's task."""
        before, self.sight = self.sight, self._trader.look()
        new = (self.sight.seq, self.sight.started_ns) != (before.seq, before.started_ns)
        if new and self.sight.payload:
            self._version += 1
        now = time.monotonic()
        if now >= self._files_due:
            self._files_due = now + 0.5
            sessions = lines.sessions_on_screen(self._state_dir)
            newest = sessions[-1] if sessions else None
            bars = 0 if newest is None else lines.screen_path(self._state_dir, newest)
            self._files = {
                "session": newest,
                "screen": lines.size_of(bars) if isinstance(bars, Path) else 0,
                "alerts": lines.size_of(self._state_dir / lines.ALERTS),
            }
        for slot in self._slots:
            slot.event.set()

    async def serve(self, socket: WebSocket) -> None:
        """Send to one browser until it goes; what it says is ignored."""
        if len(self._slots) >= MOST_CLIENTS:
            await socket.accept()
            await socket.close(_FULL)
            return
        await socket.accept()
        slot = Slot()
        self._slots.add(slot)
        listener = asyncio.create_task(_until_gone(socket))
        sender = asyncio.create_task(self._send(socket, slot))
        try:
            await asyncio.wait({listener, sender}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._slots.discard(slot)
            for task in (listener, sender):
                task.cancel()
            await asyncio.gather(listener, sender, return_exceptions=True)

    async def _send(self, socket: WebSocket, slot: Slot) -> None:
        slot.event.set()
        while True:
            await slot.event.wait()
            slot.event.clear()
            message = self._message(slot)
            try:
                await asyncio.wait_for(socket.send_text(message), self._send_timeout_s)
            except TimeoutError:
                self.stuck += 1
                with suppress(RuntimeError, WebSocketDisconnect, TimeoutError):
                    await asyncio.wait_for(socket.close(_STUCK), 1.0)
                return
            except (RuntimeError, WebSocketDisconnect):
                return

    def _message(self, slot: Slot) -> str:
        sight = self.sight
        fresh = slot.seen != self._version and bool(sight.payload)
        if fresh:
            if slot.seen:
                missed = self._version - slot.seen - 1
                slot.dropped += missed
                self.dropped += missed
            slot.seen = self._version
        head = json.dumps(
            {
                "life": sight.life.value,
                "age_s": None if sight.age_s is None else round(sight.age_s, 3),
                "pid": sight.pid,
                "sent": time.time_ns(),
                "dropped": slot.dropped,
                "clients": len(self._slots),
                **self._files,
            },
            separators=(",", ":"),
        )
        if not fresh:
            return head
        return f'{head[:-1]},"frame":{sight.payload.decode()}}}'


async def _until_gone(socket: WebSocket) -> None:
    with suppress(RuntimeError, WebSocketDisconnect):
        while (await socket.receive())["type"] != "websocket.disconnect":
            pass
