"""Work beside the cycle goes on, rests or fails by how it ended."""

import asyncio

import pytest

from mia.errors import BrokerError
from mia.execution.live import side_work
from mia.execution.live.side_work import SideWork, unless_set


class Told:
    def __init__(self) -> None:
        self.words: list[str] = []
        self.work = SideWork(
            lambda: self.words.append("follow up"),
            lambda: self.words.append("resume"),
            lambda error: self.words.append(repr(error)),
        )


async def ends(error: BaseException | None = None) -> None:
    await asyncio.sleep(0)
    if error is not None:
        raise error


def after(work, *, pause: float = 0.05) -> Told:
    async def scene() -> Told:
        told = Told()
        told.work.begin(work)
        assert told.work.is_busy
        await asyncio.sleep(pause)
        assert not told.work.is_busy
        return told

    return asyncio.run(scene())


def test_what_is_done_is_followed_up_and_gone_on_from() -> None:
    assert after(ends()).words == ["follow up", "resume"]


def test_a_lost_connection_is_followed_up_at_once_and_gone_on_from_later(monkeypatch) -> None:
    monkeypatch.setattr(side_work, "RETRY_S", 0.2)
    assert after(ends(BrokerError("gone"))).words == ["follow up"]
    assert after(ends(BrokerError("gone")), pause=0.5).words == ["follow up", "resume"]


def test_any_other_error_is_a_failure() -> None:
    assert after(ends(ZeroDivisionError("x"))).words == ["ZeroDivisionError('x')"]


def test_what_is_cancelled_says_nothing() -> None:
    async def scene() -> list[str]:
        told = Told()
        told.work.begin(asyncio.sleep(60))
        told.work._task.cancel()
        await asyncio.sleep(0.05)
        assert not told.work.is_busy
        return told.words

    assert asyncio.run(scene()) == []


def test_a_stop_drops_work_and_work_that_ends_first_is_told() -> None:
    async def scene(stopped: bool, work) -> bool:
        stop = asyncio.Event()
        if stopped:
            stop.set()
        return await unless_set(stop, work)

    assert asyncio.run(scene(True, asyncio.sleep(60))) is False
    assert asyncio.run(scene(False, ends())) is True
    with pytest.raises(BrokerError):
        asyncio.run(scene(False, ends(BrokerError("no"))))
