"""The terminal monitor, driven as its user drives it, on frame files of the tests."""

import asyncio
import json
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from frame_cases import ACCOUNT, LAST, START, ShownFrames, book, frame, held, story
from textual.pilot import Pilot

from mia.core.base_types import FEATURE_NAMES
from mia.core.frame import Frame
from mia.data import state_files
from mia.data.process_lock import ProcessLock
from mia.monitoring.dashboard.sight import SILENT_AFTER_S
from mia.monitoring.terminal.app import Monitor

ROOT = Path(__file__).parent.parent.parent
PATIENCE_S = 20.0


@contextmanager
def beating(shown: ShownFrames) -> Iterator[None]:
    """Let a heart beat beside the test, as that of a trader whose loop turns."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(0.05):
            shown.beat()

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def on_screen(app: Monitor) -> list[str]:
    """Return the lines that the terminal shows."""
    return [strip.text for strip in app.screen._compositor.render_strips()]


async def until(pilot: Pilot[None], said: Callable[[], bool]) -> None:
    ends = time.monotonic() + PATIENCE_S
    while not said():
        assert time.monotonic() < ends, on_screen(pilot.app)  # type: ignore[arg-type]
        await pilot.pause(0.05)


def drive(
    state: Path,
    act: Callable[[Monitor, Pilot[None]], Awaitable[None]],
    size: tuple[int, int] = (80, 24),
) -> None:
    """Run the monitor without a terminal and do something with it."""

    async def main() -> None:
        app = Monitor(state)
        async with app.run_test(size=size) as pilot:
            await act(app, pilot)

    asyncio.run(main())


def test_80_by_24_shows_everything_that_is_promised(tmp_path: Path) -> None:
    alert = {"ts": START, "level": "WARNING", "key": "k", "text": "feed", "source": "trader"}
    (tmp_path / "alerts.ndjson").write_text(json.dumps(alert) + "\n")
    with ShownFrames(tmp_path) as shown, beating(shown):
        shown.show(frame())

        async def act(app: Monitor, pilot: Pilot[None]) -> None:
            shown.show(frame(2))
            app.show()
            await pilot.pause()
            lines = on_screen(app)
            assert len(lines) == 24
            text = "\n".join(lines)
            for part in (
                "PAPER",
                "NORMAL",
                "ESH26",
                ACCOUNT,
                "long 2 MES at 6900.00, now 6901.50  +15.00 USD",
                "+127.50 USD",
                "of 1,000; with stops hit +72.50",
                "synth 0.2 s old",
                "orders READY  data READY",
                "REFUSED by CONFLUENCE: 0.41, limit 0.50",
                "STOP    sell 0 of 2  STOP    6896.00  WORKING",
                "TARGET  sell 0 of 2  LIMIT   6908.50  WORKING",
                "decision 371 us/1.89 ms",
                "ALERTS 11:00:00 WARNING feed",
                *FEATURE_NAMES,
            ):
                assert part in text, part
            assert "…" not in text

        drive(tmp_path, act)


@pytest.mark.parametrize("size", [(130, 40), (200, 60)])
def test_a_wide_terminal_adds_book_levels_and_shares(tmp_path: Path, size: tuple[int, int]) -> None:
    with ShownFrames(tmp_path) as shown, beating(shown):
        shown.show(frame())

        async def act(app: Monitor, pilot: Pilot[None]) -> None:
            await pilot.pause()
            text = "\n".join(on_screen(app))
            for part in ("call wall", "gamma flip", "6902.50", "+0.072", "F18 session_context"):
                assert part in text, part
            assert ("FAIL CONFLUENCE" in text) == (size[0] >= 170)
            await pilot.resize_terminal(80, 24)
            # What is laid out anew is filled at the next look.
            for _ in range(100):
                await pilot.pause(0.05)
                text = "\n".join(on_screen(app))
                if "session_context" in text:
                    break
            assert "call wall" not in text
            assert "session_context" in text

        drive(tmp_path, act, size)


def test_the_screen_follows_the_frames(tmp_path: Path) -> None:
    with ShownFrames(tmp_path) as shown, beating(shown):

        async def act(app: Monitor, pilot: Pilot[None]) -> None:
            for told in story(12):
                shown.show(told)
                app.show()
                await pilot.pause()
                text = "\n".join(on_screen(app))
                assert told.state in text
                result = told.day.realized_pnl + told.day.open_pnl
                assert f"DAY {result:+,.2f} USD" in text
                if told.held is None:
                    assert "POSITION flat" in text
                elif told.held.quantity:
                    assert f"now {told.book.last * 0.25:.2f}" in text  # type: ignore[operator]
                else:
                    assert "entry works" in text

        drive(tmp_path, act)


def test_only_what_changed_is_drawn(tmp_path: Path) -> None:
    with ShownFrames(tmp_path) as shown, beating(shown):
        shown.show(frame())

        async def act(app: Monitor, pilot: Pilot[None]) -> None:
            await pilot.pause()
            before = dict(app.drawn)
            # Another quote and another profit: all else is as it was.
            day = msgspec.structs.replace(frame().day, open_pnl=20.0)
            shown.show(frame(2, ts=frame().ts, book=book(LAST + 8), held=held(LAST + 8), day=day))
            app.show()
            drawn = {name for name, times in app.drawn.items() if times != before[name]}
            assert drawn == {"position", "day", "book", "levels"}
            for _ in range(20):
                shown.show(
                    frame(3, ts=frame().ts, book=book(LAST + 8), held=held(LAST + 8), day=day)
                )
                app.show()
            assert {name: app.drawn[name] - before[name] for name in drawn} == dict.fromkeys(
                drawn, 1
            )

        drive(tmp_path, act)


def test_without_a_trader_it_says_so_and_waits_for_one(tmp_path: Path) -> None:
    state = tmp_path / "state"

    async def act(app: Monitor, pilot: Pilot[None]) -> None:
        await pilot.pause()
        assert "no trader has run in" in "\n".join(on_screen(app))
        with ShownFrames(state) as shown, beating(shown):
            shown.show(frame())
            await until(pilot, lambda: "long 2 MES" in "\n".join(on_screen(app)))

    drive(state, act)


def _age_when_noticed(state: Path) -> float:
    """Let a trader hang; return how old its heartbeat was when the screen said so."""
    ages: list[float] = []
    lock = ProcessLock(state / state_files.LOCK)
    lock.acquire("the test")
    try:
        with ShownFrames(state) as shown:
            shown.show(frame())

            async def act(app: Monitor, pilot: Pilot[None]) -> None:
                with beating(shown):
                    shown.show(frame(2))
                    app.show()
                    assert "STALE" not in "\n".join(on_screen(app))
                began = time.monotonic()
                await until(
                    pilot,
                    lambda: "STALE: the trader has shown nothing new" in "\n".join(on_screen(app)),
                )
                ages.append(time.monotonic() - began)
                assert "was NORMAL" in "\n".join(on_screen(app))
                with beating(shown):
                    shown.show(frame(3))
                    await until(pilot, lambda: "  READY  " in on_screen(app)[0])

            drive(state, act)
    finally:
        lock.release()
    return ages[0]


def test_a_trader_that_hangs_is_noticed_and_is_believed_again_when_it_answers(
    tmp_path: Path,
) -> None:
    assert _age_when_noticed(tmp_path) >= SILENT_AFTER_S - 0.1


@pytest.mark.idle
def test_a_trader_that_hangs_is_noticed_within_a_second(tmp_path: Path) -> None:
    assert _age_when_noticed(tmp_path) < 1.0


def test_a_frame_that_stands_still_while_the_heart_beats_is_no_picture_of_now(
    tmp_path: Path,
) -> None:
    lock = ProcessLock(tmp_path / state_files.LOCK)
    lock.acquire("the test")
    with ShownFrames(tmp_path) as shown, beating(shown):
        shown.show(frame())

        async def act(app: Monitor, pilot: Pilot[None]) -> None:
            await until(pilot, lambda: "shown nothing new" in "\n".join(on_screen(app)))

        try:
            drive(tmp_path, act)
        finally:
            lock.release()


@pytest.mark.parametrize(
    ("leaves_a_run", "words"), [(True, "NO TRADER: it died"), (False, "ended in order")]
)
def test_a_trader_that_is_gone_died_or_ended(
    tmp_path: Path, leaves_a_run: bool, words: str
) -> None:
    with ShownFrames(tmp_path) as shown:
        shown.show(frame())
    if leaves_a_run:
        (tmp_path / state_files.RUN).write_text("{}")

    async def act(app: Monitor, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: words in "\n".join(on_screen(app)))
        text = "\n".join(on_screen(app))
        # What it knew last is still to be read.
        assert "long 2 MES at 6900.00" in text

    drive(tmp_path, act)


def test_it_goes_over_to_the_next_trader_even_in_a_new_directory(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with ShownFrames(state) as shown, beating(shown):
        shown.show(frame(contract="ESH26"))

        async def act(app: Monitor, pilot: Pilot[None]) -> None:
            await until(pilot, lambda: "ESH26" in on_screen(app)[0])
            shutil.rmtree(state)
            with ShownFrames(state) as next_one, beating(next_one):
                next_one.show(frame(contract="ESM26"))
                await until(pilot, lambda: "ESM26" in on_screen(app)[0])

        drive(state, act)


def test_a_frame_of_another_schema_is_refused(tmp_path: Path) -> None:
    with ShownFrames(tmp_path) as shown, beating(shown):
        shown.show(frame(schema=99))

        async def act(app: Monitor, pilot: Pilot[None]) -> None:
            await until(pilot, lambda: "schema 99, this program reads 1" in on_screen(app)[1])

        drive(tmp_path, act)


def test_q_quits(tmp_path: Path) -> None:
    async def act(app: Monitor, pilot: Pilot[None]) -> None:
        await pilot.press("q")
        await pilot.pause()
        assert app._exit

    drive(tmp_path, act)


def _monitor(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mia.monitoring.live_monitor", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **options,
    )


def test_json_prints_what_is_seen_once(tmp_path: Path) -> None:
    with ShownFrames(tmp_path) as shown, beating(shown):
        told = shown.show(frame())
        done = _monitor("--json", "--state-dir", str(tmp_path))
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert (seen["life"], seen["trouble"]) == ("running", "")
    assert 0 <= seen["age_s"] < 60
    assert msgspec.convert(seen["frame"], Frame) == told


def test_json_without_a_trader_is_no_error(tmp_path: Path) -> None:
    done = _monitor("--json", "--state-dir", str(tmp_path / "absent"))
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert (seen["life"], seen["frame"], seen["age_s"]) == ("none", None, None)


def test_without_a_terminal_the_cure_is_named(tmp_path: Path) -> None:
    done = _monitor("--no-trading", "--state-dir", str(tmp_path), stdin=subprocess.DEVNULL)
    assert done.returncode == 2
    assert done.stderr == (
        "mia: the monitor needs a terminal: use --json for a program or a file\n"
    )


def _in_a_terminal(state: Path, wanted: bytes, **environment: str) -> tuple[bytes, int]:
    """Run the monitor in a terminal of 80 by 24, press q when it shows what is wanted."""
    near, far = pty.openpty()
    termios.tcsetwinsize(far, (24, 80))
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "mia.monitoring.live_monitor",
            "--no-trading",
            "--state",
            str(state),
        ],
        stdin=far,
        stdout=far,
        stderr=far,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color", **environment},
        start_new_session=True,
    )
    os.close(far)
    said, ends, pressed = b"", time.monotonic() + 60, False
    try:
        while time.monotonic() < ends:
            if select.select([near], [], [], 0.1)[0]:
                try:
                    said += os.read(near, 65536)
                except OSError:
                    break
            if wanted in said and not pressed:
                pressed = True
                os.write(near, b"q")
        return said, process.wait(10)
    finally:
        process.kill()
        process.wait()
        os.close(near)


@pytest.mark.slow
@pytest.mark.parametrize("colourless", [False, True])
def test_in_a_real_terminal_q_ends_it_and_no_color_does_without_colours(
    tmp_path: Path, colourless: bool
) -> None:
    environment = {"NO_COLOR": "1"} if colourless else {"COLORTERM": "truecolor"}
    with ShownFrames(tmp_path) as shown, beating(shown):
        shown.show(frame())
        said, code = _in_a_terminal(tmp_path, b"session_context", **environment)
    assert code == 0, said[-500:]
    rgb = re.findall(rb"[34]8;2;(\d+);(\d+);(\d+)", said)
    assert b"POSITION" in said
    assert any(len(set(colour)) > 1 for colour in rgb) != colourless
    if colourless:
        assert not re.search(rb"\x1b\[(?:\d+;)*3[1-6]m", said)
