"""What a browser notices of a killed or hung trader, and what a trader notices of it."""

import json
import signal
import time

import pytest
from dashboard_browser import Chromium
from dashboard_cases import feeder, needs_chromium, running_dashboard

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def chromium():
    with Chromium() as browser:
        yield browser


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
