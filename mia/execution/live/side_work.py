"""Work beside the cycle that waits for answers: one piece at a time."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from mia.errors import BrokerError, DataError

log = logging.getLogger(__name__)

RETRY_S = 1.0


class SideWork:
    """Runs a coroutine beside the cycle, and says what became of it.

    Parameters
    ----------
    follow_up : callable
        Called when a piece is done or a connection failed it.
    resume : callable
        Called to go on: at once when it is done, after a second when a connection failed it.
    fail : callable
        Called with any other exception.
    """

    def __init__(
        self,
        follow_up: Callable[[], None],
        resume: Callable[[], None],
        fail: Callable[[BaseException], None],
    ) -> None:
        self._follow_up = follow_up
        self._resume = resume
        self._fail = fail
        self._task: asyncio.Task[None] | None = None

    @property
    def is_busy(self) -> bool:
        """Whether a piece is being worked on."""
        return self._task is not None

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Start a piece; nothing else may be worked on."""
        self._task = asyncio.create_task(work)
        self._task.add_done_callback(self._on_done)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._task = None
        if task.cancelled():
            return
        error = task.exception()
        if isinstance(error, BrokerError | DataError):
            # The connection was lost on the way, and its return begins anew; or what failed will
            # fail again, and must not keep the loop busy.
            log.warning("%s", error)
            self._follow_up()
            asyncio.get_running_loop().call_later(RETRY_S, self._resume)
        elif error is not None:
            self._fail(error)
        else:
            self._follow_up()
            self._resume()


async def unless_set(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> bool:
    """Do something that takes time, and drop it as soon as an event is set; false if it was.

    Raises
    ------
    Exception
        What the work raised.
    """
    doing, stopped = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    await asyncio.wait({doing, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if not doing.done():
        doing.cancel()
        with suppress(asyncio.CancelledError):
            await doing
        return False
    doing.result()
    return not stop.is_set()
