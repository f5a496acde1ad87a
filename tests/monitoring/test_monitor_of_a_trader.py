"""The terminal monitor beside a trader that runs: what it shows is what the trader shows."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from textual.pilot import Pilot

from mia.core.base_types import FEATURE_NAMES
from mia.core.frame import Frame
from mia.core.frame_memory import NAME, FrameReader
from mia.monitoring.terminal.app import Monitor

ROOT = Path(__file__).parent.parent.parent
PATIENCE_S = 60.0


@contextmanager
def demo(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run the demo as its user does, in a process group of its own."""
    trader = subprocess.Popen(
        [
            *(sys.executable, "-m", "mia.trader", "--config", "demo", "--quiet"),
            *("--out", str(folder), "--set", "demo.trades_per_day=60000"),
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield trader
    finally:
        # The gateway is of the same group: neither may outlive the test.
        os.killpg(trader.pid, signal.SIGKILL)
        trader.wait()


def newest(state: Path) -> Frame:
    with FrameReader(state / NAME) as reader:
        return msgspec.json.decode(reader.read().payload, type=Frame)


def on_screen(app: Monitor) -> str:
    return "\n".join(strip.text for strip in app.screen._compositor.render_strips())


async def until(pilot: Pilot[None], app: Monitor, said: Callable[[], bool]) -> float:
    """Wait for something to be so; return how long it took."""
    began = time.monotonic()
    while not said():
        assert time.monotonic() < began + PATIENCE_S, on_screen(app)
        await pilot.pause(0.05)
    return time.monotonic() - began


def agrees(text: str, frame: Frame) -> None:
    """Hold the screen against a frame, number by number."""
    day, book, signal_ = frame.day, frame.book, frame.signal
    assert f"DAY {day.realized_pnl + day.open_pnl:+,.2f} USD" in text
    assert f"with stops hit {day.worst_pnl:+,.2f}" in text
    assert f"{day.trades} trade" in text
    assert frame.contract in text
    assert f"{frame.feed.ticks:,} ticks" in text
    assert f"vikings {frame.battle.vikings:.2f}  defenders {frame.battle.defenders:.2f}" in text
    if frame.held is None:
        assert book.last is not None
        assert f"POSITION flat   last {book.last * 0.25:.2f}" in text
    elif frame.held.quantity:
        assert f"{frame.held.open_pnl:+,.2f} USD" in text
    assert signal_ is not None
    assert signal_.reason == "OK" or f"REFUSED by {signal_.reason}" in text
    for name, value in zip(FEATURE_NAMES, signal_.features, strict=True):
        told = text.split(name, 1)[1].split(maxsplit=1)[0]
        assert told == ("-" if value is None else f"{value:+.2f}"), name


@pytest.mark.slow
def test_the_screen_agrees_with_a_demo_trader_that_stops_goes_on_and_is_killed(
    tmp_path: Path,
) -> None:
    state = tmp_path / "demo" / "state"

    async def watch(trader: subprocess.Popen[bytes]) -> None:
        app = Monitor(state)
        async with app.run_test(size=(80, 24)) as pilot:
            await until(pilot, app, lambda: "  READY  " in on_screen(app))
            await until(pilot, app, lambda: "REFUSED by" in on_screen(app))
            # Held still, it cannot run away from the comparison.
            os.kill(trader.pid, signal.SIGSTOP)
            frame = newest(state)
            app.show()
            await pilot.pause()
            agrees(on_screen(app), frame)
            await until(
                pilot, app, lambda: "STALE: the trader has shown nothing new" in on_screen(app)
            )
            agrees(on_screen(app), frame)
            os.kill(trader.pid, signal.SIGCONT)
            await until(pilot, app, lambda: "STALE" not in on_screen(app))
            assert newest(state).seq > frame.seq
            trader.kill()
            trader.wait()
            await until(pilot, app, lambda: "NO TRADER: it died" in on_screen(app))
            agrees(on_screen(app), newest(state))

    with demo(tmp_path / "demo") as trader:
        asyncio.run(watch(trader))
