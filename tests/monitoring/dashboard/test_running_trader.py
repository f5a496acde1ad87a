"""The demo as it runs, its dashboard, and a browser: what the page says is what the trader is."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import msgspec
import pytest
from dashboard_browser import Chromium, eventually
from dashboard_cases import needs_chromium, running_dashboard

from mia.core.frame_memory import NAME, FrameReader
from mia.data.journal_reader import JournalReader
from mia.data.state_files import JOURNAL
from mia.errors import DataError

pytestmark = [pytest.mark.slow, needs_chromium]

ROOT = Path(__file__).parents[3]
STARTS_S = 120.0
CANVASES = """Object.fromEntries(['#price-plot canvas', '#ladder'].map((where) => {
  let colours = 0, sum = 0;
  for (const c of document.querySelectorAll(where)) {
    if (!c.width || !c.height) continue;
    const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
    const all = new Uint32Array(d.buffer);
    for (let k = 0; k < all.length; k += 1) sum = (31 * sum + all[k]) >>> 0;
    colours = Math.max(colours, new Set(all).size);
  }
  return [where, [colours, sum]] }))"""
"""How many colours a chart has, and a sum over its pixels."""


def as_a_browser(value):
    """Return a value with its numbers as a browser has them: nanoseconds lose their end."""
    if isinstance(value, dict):
        return {name: as_a_browser(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [as_a_browser(inner) for inner in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


class Frames:
    """Every frame that the trader showed, by number, read beside the dashboard."""

    def __init__(self, path: Path) -> None:
        self.by_seq: dict[int, dict] = {}
        self._path = path
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        with FrameReader(self._path) as reader:
            while not self._stop.wait(0.02):
                try:
                    payload = reader.read().payload
                except DataError:
                    continue
                if payload:
                    frame = as_a_browser(msgspec.json.decode(payload))
                    self.by_seq[frame["seq"]] = frame

    def __enter__(self) -> "Frames":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()


class Demo:
    """``mia trade --config demo`` over some sessions, until it is ended."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "demo" / "state"
        arguments = ["--config", "demo", "--out", str(folder / "demo"), "--quiet"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mia.trader", *arguments, "--set", "demo.sessions=60"],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def __enter__(self) -> "Demo":
        eventually(self._shows, STARTS_S, "the demo shows a frame")
        return self

    def _shows(self) -> bool:
        assert self.process.poll() is None, "the demo has ended before it began"
        return (self.state / NAME).exists()

    def __exit__(self, *error: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


@pytest.fixture(scope="module")
def chromium():
    with Chromium() as browser:
        yield browser


def price(ticks):
    return "–" if ticks is None else f"{ticks / 4:.2f}"


def usd(value):
    sign = "−" if value < 0 else "+" if value > 0 else ""
    return f"{sign}${abs(value):,.2f}"


def test_the_page_says_what_a_running_trader_is_and_halts_it(chromium, tmp_path):
    """One run serves all of it, since a trader takes long to start."""
    with (
        Demo(tmp_path) as demo,
        Frames(demo.state / NAME) as frames,
        running_dashboard(demo.state, "--results", str(tmp_path)) as dashboard,
        chromium.tab(dashboard) as tab,
    ):
        tab.open("/")
        tab.until("window.__mia.frame && window.__mia.frame.book.last !== null", STARTS_S)
        held = compared = 0
        first = None
        for _ in range(60):
            seen = tab.evaluate(
                """({frame: window.__mia.frame, shown: {...window.__mia.shown},
                text: Object.fromEntries(['position', 'open-pnl', 'day-pnl', 'state', 'contract',
                  'worst-pnl'].map((id) => [id, document.getElementById(id).textContent]))})"""
            )
            frame = as_a_browser(seen["frame"])
            real = frames.by_seq.get(frame["seq"])
            if real is None:
                continue
            assert frame == real
            shown, text, day = seen["shown"], seen["text"], real["day"]
            # A frame that came after the last painting is not on the page yet.
            if float(shown.get("clock", 0)) == real["ts"]:
                compared += 1
                total = day["realized_pnl"] + day["open_pnl"]
                assert text["open-pnl"] == usd(day["open_pnl"])
                assert text["day-pnl"] == usd(total)
                assert usd(day["worst_pnl"]) in text["worst-pnl"]
                assert text["contract"] == real["contract"]
                position = real["held"]
                if position is None:
                    assert text["position"] == "Flat"
                elif position["quantity"]:
                    held += 1
                    side = "Long" if position["side"] > 0 else "Short"
                    assert text["position"] == (
                        f"{side} {abs(position['quantity']):.0f} {position['symbol']} "
                        f"@ {price(position['entry'])}"
                    )
            drawn = tab.evaluate(CANVASES)
            first = first or drawn
            if compared > 15 and (held > 2 or demo.process.poll() is not None):
                break
            time.sleep(0.2)
        assert compared > 10
        # Charts are drawn, and differ from what they were.
        for where, (colours, pixels) in drawn.items():
            assert colours > 10, where
            assert pixels != first[where][1], where

        tab.page.click("#halt")
        assert tab.page.is_disabled("#order-send")
        tab.page.fill("#order-word", "HALF")
        assert tab.page.is_disabled("#order-send")
        tab.page.fill("#order-word", "halt")
        tab.page.click("#order-send")
        tab.until("window.__mia.order && window.__mia.order.done", 30)
        tab.until("window.__mia.frame.state !== 'NORMAL'", 30)
        assert "Halted" in tab.page.inner_text("#state") or "entries" in tab.page.inner_text(
            "#state"
        )
        newest = frames.by_seq[max(frames.by_seq)]
        assert newest["state"] == "HALT_ENTRIES"
        with JournalReader(demo.state / JOURNAL) as journal:
            commands = [e.payload for e in journal.events() if e.kind == "kill.command"]
        assert [command["name"] for command in commands] == ["halt"]
        assert "dashboard 127.0.0.1" in str(commands[0])
        for path in ("/performance", "/limits", "/health"):
            tab.open(path)
        day = frames.by_seq[max(frames.by_seq)]["day"]
        assert tab.errors == []
        assert tab.foreign == []
        assert day["loss_limit"] == 600.0
