"""Questions to a gateway that are answered by rows and an end marker.

Questions of one kind are asked one at a time: a gateway that is asked for open orders twice ends
both answers with the same marker, and nothing tells which is which.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

from mia.core.broker_types import Notice
from mia.core.ibkr.orders import FIRST_REQUEST_ID
from mia.errors import BrokerError

Send = Callable[[int], None]


class RequestRefusedError(BrokerError):
    """The gateway answered a question with an error.

    Attributes
    ----------
    notice : Notice
    """

    def __init__(self, what: str, notice: Notice) -> None:
        super().__init__(f"{what}: the gateway refused, {notice.code}: {notice.text}")
        self.notice = notice


@dataclass(slots=True)
class Answer:
    """Rows of an answer.

    Attributes
    ----------
    rows : list
        As the handlers of messages put them in.
    complete : bool
        Whether the end marker came.
    """

    rows: list[Any]
    complete: bool


@dataclass(slots=True)
class _Question:
    what: str
    done: "asyncio.Future[Any]"
    rows: list[Any] = field(default_factory=list)


class Requests:
    """Questions that are open on one connection.

    Parameters
    ----------
    ready : callable
        Coroutine function that waits until one more message may be sent, or raises BrokerError.
    timeout : float
        Seconds that an end marker may take.
    """

    def __init__(self, ready: Callable[[], Awaitable[None]], timeout: float) -> None:
        self._ready = ready
        self.timeout = timeout
        self._open: dict[Hashable, _Question] = {}
        self._locks: dict[Hashable, asyncio.Lock] = {}
        self._owed: dict[Hashable, asyncio.Event] = {}
        self._next_id = FIRST_REQUEST_ID

    def new_id(self) -> int:
        """Return an id for a question or a subscription, apart from those of orders."""
        self._next_id += 1
        return self._next_id

    async def ask(
        self,
        what: str,
        send: Send,
        *,
        kind: str | None = None,
        attempts: int = 2,
        timeout: float | None = None,
        quiet: float | None = None,
        key: Hashable | None = None,
    ) -> Answer:
        """Ask, and wait for the end of the answer.

        Parameters
        ----------
        what : str
            The question in words, for messages.
        send : callable
            Given the id of the question, puts it on the socket.
        kind : str, optional
            Name of a question whose answer bears no id; such are asked one at a time.
        attempts : int
            Times to ask before giving up.
        timeout : float, optional
            Seconds for each attempt.
        quiet : float, optional
            Take an answer for whole, though not `complete`, when nothing came for so long and
            the end marker has not come in time.
        key : hashable, optional
            What the answer bears instead of the id of the question.

        Raises
        ------
        RequestRefusedError
            If the gateway answers with an error.
        BrokerError
            If there is no end to the answer, or the connection is lost.
        """
        lock = self._locks.setdefault(kind, asyncio.Lock()) if kind else asyncio.Lock()
        limit = self.timeout if timeout is None else timeout
        async with lock:
            if kind:
                await self._late_answer(kind, limit)
            for attempt in range(attempts):
                await self._ready()
                number = self.new_id()
                name = key if key is not None else kind or number
                question = _Question(what, asyncio.get_running_loop().create_future())
                self._open[name] = question
                try:
                    send(number)
                    await self._end(question, limit)
                    return Answer(question.rows, True)
                except TimeoutError:
                    if kind:
                        self._owed[kind] = asyncio.Event()
                    if quiet is not None and await self._is_quiet(question, quiet):
                        if question.done.done():
                            question.done.result()
                        return Answer(question.rows, question.done.done())
                    if attempt + 1 == attempts:
                        raise BrokerError(
                            f"{what}: no end of the answer within {limit:g} s, asked "
                            f"{attempts} times"
                        ) from None
                finally:
                    if self._open.get(name) is question:
                        del self._open[name]
        raise AssertionError("attempts must be at least 1")

    async def _end(self, question: _Question, limit: float) -> None:
        async with asyncio.timeout(limit):
            await asyncio.shield(question.done)

    async def _is_quiet(self, question: _Question, quiet: float) -> bool:
        for _ in range(20):
            before = len(question.rows)
            await asyncio.sleep(quiet)
            if len(question.rows) == before:
                return True
        return False

    async def _late_answer(self, kind: str, limit: float) -> None:
        # The answer to a question that was given up would pass for that to the next one, with
        # what was true when it was asked.
        owed = self._owed.pop(kind, None)
        if owed is not None:
            try:
                async with asyncio.timeout(limit):
                    await owed.wait()
            except TimeoutError:
                pass

    def row(self, name: Hashable, row: Any) -> bool:
        """Add a row to an answer; return whether anybody waits for it."""
        question = self._open.get(name)
        if question is None:
            return False
        question.rows.append(row)
        return True

    def rows(self, name: Hashable) -> list[Any] | None:
        """Return the rows of an open answer so far."""
        question = self._open.get(name)
        return None if question is None else question.rows

    def end(self, name: Hashable) -> bool:
        """Take the end marker of an answer; return whether anybody waited for it."""
        question = self._open.get(name)
        if question is None:
            owed = self._owed.get(name)
            if owed is not None:
                owed.set()
            return False
        if not question.done.done():
            question.done.set_result(None)
        return True

    def refuse(self, notice: Notice) -> bool:
        """Take an error about a question; return whether it was about an open one."""
        question = self._open.get(notice.request_id)
        if question is None:
            return False
        if not question.done.done():
            question.done.set_exception(RequestRefusedError(question.what, notice))
        return True

    def abandon(self, reason: str) -> None:
        """End every question with an error: the connection is gone."""
        for question in self._open.values():
            if not question.done.done():
                question.done.set_exception(BrokerError(f"{question.what}: {reason}"))
        self._owed.clear()
