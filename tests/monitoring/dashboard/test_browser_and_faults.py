"""What a browser notices of a dead trader and a dead server, and what they notice of it."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from dashboard_browser import Chromium, free_port
from dashboard_cases import RunningDashboard, needs_chromium, running_dashboard

pytestmark = needs_chromium

ROOT = Path(__file__).parents[3]
WARM = 2000
"""Frames until every path of a page has been taken often: its code is compiled by then."""

FRAMES = int(os.environ.get("MIA_DASHBOARD_FRAMES", "2000"))
"""More through the same page, for the growth of its heap; see docs/dashboard-pages.md."""

TOKEN = "a-token-for-a-test-that-nobody-has-to-guess"
HEAP = "(() => { gc(); gc(); return performance.memory.usedJSHeapSize })()"
FAST = """import sys; from pathlib import Path
from mia.monitoring.dashboard.server import Where, serve
serve(Path(sys.argv[1]), Where(port=int(sys.argv[2]), token_file=Path(sys.argv[3])),
      lambda line: print(line, flush=True), hz=float(sys.argv[4]))"""


@pytest.fixture(scope="module")
def chromium():
    with Chromium() as browser:
        yield browser


@pytest.fixture
def token_file(tmp_path):
    path = tmp_path / "token"
    path.write_text(TOKEN)
    path.chmod(0o600)
    return path


@contextmanager
def feeder(state: Path, *arguments: str):
    """Run a process that shows frames as a trader does."""
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "tests" / "frame_feeder.py"), str(state), *arguments],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def told_after(chromium, state) -> float:
    """Kill a trader; return after how many seconds its page says so."""
    with (
        feeder(state) as trader,
        running_dashboard(state) as dashboard,
        chromium.tab(dashboard) as tab,
    ):
        tab.open("/")
        tab.until("window.__mia.frames > 3 && window.__mia.banner === ''")
        # The page's own clock tells when: who asks it from outside comes later.
        tab.evaluate(
            "void (window.told = 0, setInterval(() => { if (!window.told && "
            "!document.getElementById('banner').hidden) window.told = Date.now() }, 5))"
        )
        died = time.time()
        trader.send_signal(signal.SIGKILL)
        tab.until("window.told > 0", 30)
        banner = tab.page.inner_text("#banner")
        assert "DIED" in banner or "DOES NOT ANSWER" in banner
        tab.until("window.__mia.life === 'died'", 30)
        assert "THE TRADER DIED" in tab.page.inner_text("#banner")
        return tab.evaluate("window.told") / 1000 - died


@pytest.mark.idle
def test_a_killed_trader_is_told_within_a_second(chromium, tmp_path):
    assert told_after(chromium, tmp_path / "state") < 1.0


@pytest.mark.slow
def test_a_killed_trader_is_told_on_a_busy_machine_too(chromium, tmp_path):
    assert told_after(chromium, tmp_path / "state") < 5.0


@pytest.mark.slow
def test_a_hung_trader_is_told_and_its_return_as_well(chromium, tmp_path):
    state = tmp_path / "state"
    with (
        feeder(state) as trader,
        running_dashboard(state) as dashboard,
        chromium.tab(dashboard) as tab,
    ):
        tab.open("/")
        tab.until("window.__mia.frames > 3 && window.__mia.banner === ''")
        trader.send_signal(signal.SIGSTOP)
        tab.until("window.__mia.life === 'silent'", 10)
        assert "DOES NOT ANSWER" in tab.page.inner_text("#banner")
        trader.send_signal(signal.SIGCONT)
        tab.until("window.__mia.banner === '' && window.__mia.life === 'running'", 10)
        assert not tab.page.is_visible("#banner")


def back_after(chromium, state, token_file) -> float:
    """Kill a dashboard and start it again; return the seconds from then to the next frame."""
    port = str(free_port())
    options = ("--port", port, "--set", f'dashboard.token_file="{token_file}"')
    with (
        feeder(state),
        running_dashboard(state, *options, token=TOKEN) as dashboard,
        chromium.tab(dashboard) as tab,
    ):
        tab.open("/")
        tab.until("window.__mia.frames > 3 && window.__mia.banner === ''")
        dashboard.process.kill()
        dashboard.process.wait()
        tab.until("window.__mia.banner !== ''", 30)
        assert "No connection" in tab.page.inner_text("#banner")
        before = tab.evaluate("window.__mia.frames")
        with running_dashboard(state, *options, token=TOKEN):
            took = tab.until(f"window.__mia.frames > {before}", 30)
            tab.until("window.__mia.banner === ''", 30)
            return took


@pytest.mark.idle
def test_a_page_is_back_within_two_seconds_of_its_server(chromium, tmp_path, token_file):
    assert back_after(chromium, tmp_path / "state", token_file) < 2.0


@pytest.mark.slow
def test_a_page_is_back_on_a_busy_machine_too(chromium, tmp_path, token_file):
    assert back_after(chromium, tmp_path / "state", token_file) < 6.0


@pytest.mark.slow
def test_pages_that_stand_still_cost_the_writer_and_the_others_nothing(chromium, tmp_path):
    """A page that is stopped in the debugger takes no frames; its server drops what it misses."""
    state = tmp_path / "state"
    with running_dashboard(state) as dashboard:

        def written() -> float:
            """Return the slowest write of 300 frames at 100 Hz, seconds."""
            with feeder(state, "--hz", "100", "--count", "300") as trader:
                told = json.loads(trader.stdout.readline())
            assert told["frames"] == 300
            return told["slowest_s"]

        alone = written()
        with chromium.tab(dashboard) as tab, chromium.tab(dashboard) as stopped:
            for one in (tab, stopped):
                one.open("/")
            session = stopped.page.context.new_cdp_session(stopped.page)
            session.send("Debugger.enable")
            session.send("Debugger.pause")
            before = tab.evaluate("window.__mia.messages")
            beside = written()
            assert tab.evaluate("window.__mia.messages") > before + 10
            session.send("Debugger.disable")
        # A write is a copy into memory: who reads cannot be felt, the machine's load can.
        assert beside < max(10 * alone, 0.05), (alone, beside)


@pytest.mark.slow
def test_frames_without_end_leave_the_heap_as_it_was(chromium, tmp_path, token_file):
    state, port = tmp_path / "state", str(free_port())
    with feeder(state, "--hz", "400"):
        server = subprocess.Popen(
            [sys.executable, "-c", FAST, str(state), port, str(token_file), "400"],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert port in server.stdout.readline()
            dashboard = RunningDashboard(server, f"http://127.0.0.1:{port}", TOKEN, [])
            with chromium.tab(dashboard) as tab:
                tab.open("/")
                within = 120 + (WARM + FRAMES) / 10
                tab.until(f"window.__mia.frames > {WARM}", within)
                warm = tab.evaluate(HEAP)
                tab.until(f"window.__mia.frames > {WARM + FRAMES}", within)
                grown = tab.evaluate(HEAP) / warm - 1
                frames = tab.evaluate("window.__mia.frames")
                print(f"{frames} frames: heap {warm / 1e6:.2f} MB, grown by {100 * grown:+.1f} %")
                assert grown < 0.10, grown
                assert tab.errors == []
        finally:
            server.kill()
            server.communicate()
