"""What a person sees, in a headless Chromium."""

import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import closing, suppress

import msgspec
import pytest
from dashboard_cases import (
    ENVIRONMENT,
    Trader,
    browser_page,
    needs_chromium,
    obedient_trader,
    open_page,
    running_dashboard,
    served_dashboard,
    taken,
    until,
)
from frame_cases import (
    LAST,
    SECOND,
    START,
    ShownFrames,
    bar_line,
    book,
    frame,
    held,
    screen_lines,
    signal,
)

from mia.core.alert_file import NAME as ALERTS
from mia.core.alert_file import AlertFile, AlertLevel
from mia.core.frame import Frame, Links
from mia.core.frame_memory import NAME, FrameReader
from mia.errors import DataError

pytestmark = [pytest.mark.slow, needs_chromium]

FRAMES = int(os.environ.get("MIA_FRAMES_SHOWN", "3000"))

TEXT = "(id) => document.getElementById(id).textContent"
COLOURS = """(selector) => {
  const found = [...document.querySelectorAll(selector)].filter((c) => c.width * c.height > 0);
  return found.map((canvas) => {
    const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    return new Set(new Uint32Array(pixels.buffer)).size;
  });
}"""
PICTURE = """(selector) => [...document.querySelectorAll(selector)]
  .filter((c) => c.width * c.height > 0).map((c) => c.toDataURL())"""
LOOKS = {
    "wide dark": (1600, 1000, "dark"),
    "wide light": (1600, 1000, "light"),
    "phone dark": (390, 844, "dark"),
    "phone light": (390, 844, "light"),
}


def wandering(seq):
    """A frame whose price wanders."""
    return frame(seq, book=book(LAST + 6 + seq % 9), held=held(LAST + 6 + seq % 9))


@pytest.mark.parametrize("look", LOOKS)
def test_the_first_screen_loads_without_fault_and_fits(tmp_path, look) -> None:
    width, height, scheme = LOOKS[look]
    with (
        Trader(tmp_path, wandering) as trader,
        served_dashboard(tmp_path) as dashboard,
        browser_page(width, height, scheme) as page,
    ):
        trader.shown.draw(screen_lines())
        open_page(page, dashboard)
        until(page, "window.__mia.frames > 2 && window.__mia.bars > 0")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        current = "document.querySelector('[aria-current=page]').textContent"
        assert page.evaluate(current) == "Overview"
        assert page.faults == []
        assert page.evaluate("document.documentElement.dataset.theme") == scheme


def test_an_earlier_session_is_shown_on_demand_and_nothing_of_now_is_drawn_into_it(
    tmp_path,
) -> None:
    earlier = 20260206
    with (
        Trader(tmp_path, wandering) as trader,
        served_dashboard(tmp_path) as dashboard,
        browser_page() as page,
    ):
        trader.shown.draw(screen_lines(40, seed=2), earlier)
        trader.shown.draw(screen_lines(90))
        open_page(page, dashboard)
        until(page, "window.__mia.bars === 90 && window.__mia.forming")
        now_equity = page.evaluate("window.__mia.equity")
        page.get_by_label("Session that the charts show").select_option(str(earlier))
        until(page, f"window.__mia.session === {earlier} && window.__mia.bars === 40")
        ends = [line["mark"]["equity"] for line in screen_lines(40, seed=2) if "mark" in line][-1]
        assert page.evaluate("window.__mia.equity") == ends != now_equity
        assert "Fri 06 Feb" in page.evaluate(TEXT, "equity-sub")
        assert "Fri 06 Feb" in page.inner_text("#orders-body")
        assert page.evaluate("document.getElementById('page').dataset.past") == "true"
        # Frames go on in the strip; the chart of the earlier session neither grows nor follows.
        seen, forming = page.evaluate("[window.__mia.frames, JSON.stringify(window.__mia.forming)]")
        trader.shown.draw([bar_line(90, LAST)])
        until(page, f"window.__mia.frames > {seen + 8}")
        assert page.evaluate("JSON.stringify(window.__mia.forming)") == forming
        assert page.evaluate("window.__mia.bars") == 40
        page.get_by_role("button", name="Back to now").click()
        until(page, "window.__mia.bars === 91 && window.__mia.session === 20260209")
        until(page, "document.getElementById('page').dataset.past === 'false'")
        assert "Fri 06 Feb" not in page.inner_text("#orders-body")
        assert page.faults == []


def test_an_alert_of_another_day_says_which(tmp_path) -> None:
    with (
        Trader(tmp_path, wandering),
        served_dashboard(tmp_path) as dashboard,
        browser_page() as page,
    ):
        with closing(AlertFile(tmp_path / ALERTS, str, "trader")) as file:
            assert file.write(AlertLevel.WARNING, "a", "Friday's", START - 3 * 86_400 * SECOND, 1)
            assert file.write(AlertLevel.INFO, "b", "today's", START, 1)
        open_page(page, dashboard)
        until(page, "window.__mia.alerts === 2")
        times = page.locator(".alert-time")
        until(page, "document.querySelector('.alert-time').textContent === '11:00:00'")
        assert times.nth(1).inner_text() == "Fri 11:00"
        assert page.faults == []


def test_without_a_trader_the_last_sessions_can_still_be_looked_at(tmp_path) -> None:
    with (
        ShownFrames(tmp_path) as shown,
        served_dashboard(tmp_path) as dashboard,
        browser_page(390, 844, "light") as page,
    ):
        shown.draw(screen_lines(40, seed=2), 20260206)
        shown.draw(screen_lines(60))
        open_page(page, dashboard)
        until(page, "window.__mia.bars === 60")
        page.get_by_role("button", name="dark", exact=False).click()
        page.get_by_label("Session that the charts show").select_option("20260206")
        until(page, "window.__mia.bars === 40")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert page.faults == []


def test_charts_are_drawn_and_change(tmp_path) -> None:
    with (
        Trader(tmp_path, wandering) as trader,
        served_dashboard(tmp_path) as dashboard,
        browser_page() as page,
    ):
        trader.shown.draw(screen_lines(100))
        open_page(page, dashboard)
        until(page, "window.__mia.bars === 100 && window.__mia.forming")
        for place in ("#price-plot canvas", "#ladder", "#equity-plot canvas"):
            assert max(page.evaluate(COLOURS, place)) > 8, place
        for zoom in ("Candles", "Footprint", "Numbers", "Session"):
            before = page.evaluate(PICTURE, "#price-plot canvas")
            page.click(f"[data-zoom={zoom}]")
            page.wait_for_timeout(300)
            assert page.evaluate(PICTURE, "#price-plot canvas") != before, zoom
        ladder = page.evaluate(PICTURE, "#ladder")
        page.wait_for_timeout(500)
        assert page.evaluate(PICTURE, "#ladder") != ladder
        bars = page.evaluate("window.__mia.chart.bars")
        trader.shown.draw([screen_lines(103)[k] for k in (-6, -4, -2)])
        until(page, f"window.__mia.chart.bars === {bars + 3}")
        assert page.faults == []


def test_the_numbers_shown_are_those_of_the_frame(tmp_path) -> None:
    expected = {
        "mode": "PAPER",
        "state": "✓ Ready",
        "position": "Long 2 MES @ 6900.00",
        "open-pnl": "+$15.00",
        "day-pnl": "+$127.50",
        "loss-text": "0% of $1,000",
        "feed-name": "synth",
        "reconciled": "reconciled 10:00:10",
        "bn-score": "+0.34",
        "verdict-word": "✕ CONFLUENCE",
        "contract": "ESH26",
        "account": "DU****567 simulated",
    }
    with (
        ShownFrames(tmp_path) as shown,
        served_dashboard(tmp_path) as dashboard,
        browser_page() as page,
    ):
        made = shown.show(frame(5))
        open_page(page, dashboard)
        until(page, "window.__mia.frames > 0 && document.querySelectorAll('#features tr').length")
        until(page, "window.__mia.shown.features")
        page.wait_for_timeout(300)
        seen = {name: page.evaluate(TEXT, name) for name in expected}
        assert seen == expected
        numbers = page.evaluate("window.__mia.shown")
        assert numbers["position"] == made.held.quantity
        assert numbers["day-pnl"] == made.day.realized_pnl + made.day.open_pnl
        assert numbers["features"] == made.signal.features
        assert numbers["contributions"] == made.signal.contributions
        assert (numbers["bid"], numbers["ask"]) == (made.book.bid, made.book.ask)
        names = [name for name, *_ in numbers["stages"]]
        assert names == list(made.stages)
        for name, p50, p99, times in numbers["stages"]:
            counts = made.stages[name].counts
            assert times == sum(counts)
            for share, value in ((0.5, p50), (0.99, p99)):
                below = sum(n for k, n in enumerate(counts) if 2 ** (k + 1) <= value)
                upto = sum(n for k, n in enumerate(counts) if 2**k < value)
                assert below <= share * times <= upto
        rows = page.evaluate(
            "[...document.querySelectorAll('#gates tr')].map((r) => r.textContent)"
        )
        assert len(rows) == len(made.signal.gates)
        assert "refused" in next(row for row in rows if row.startswith("CONFLUENCE"))
        cells = "[...document.querySelectorAll('#orders tr')].map((r) => r.children[4].textContent)"
        assert page.evaluate(cells) == ["6896.00", "6908.50"]


def test_the_numbers_shown_are_those_of_a_running_trader(tmp_path) -> None:
    state = tmp_path / "demo" / "state"
    arguments = ["--config", "demo", "--out", str(tmp_path / "demo"), "--quiet"]
    arguments += ["--set", "demo.trades_per_day=200000", "--set", "demo.faults=false"]
    shown: dict[int, Frame] = {}
    done = threading.Event()

    def follow() -> None:
        while not done.wait(0.01):
            with suppress(DataError), FrameReader(state / NAME) as reader:
                while not done.wait(0.01):
                    if payload := reader.read().payload:
                        made = msgspec.json.decode(payload, type=Frame)
                        shown[made.seq] = made

    follower = threading.Thread(target=follow)
    with (
        subprocess.Popen(
            [sys.executable, "-m", "mia.trader", *arguments],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=ENVIRONMENT,
        ) as trader,
        served_dashboard(state) as dashboard,
        browser_page() as page,
    ):
        follower.start()
        try:
            open_page(page, dashboard)
            until(page, "window.__mia.frame && window.__mia.shown.features", 180)
            until(page, "window.__mia.bars > 50", 60)
            compared = 0
            deadline = time.monotonic() + 60
            while compared < 5 and time.monotonic() < deadline:
                seen, price, state_text = page.evaluate(
                    """() => [window.__mia.painted, window.__mia.shown.last,
                      document.getElementById("state").textContent]"""
                )
                made = shown.get(seen)
                if made is None:
                    continue
                compared += 1
                assert price == made.book.last
                usual = "✓ Ready" if made.ready else "Not ready"
                assert (state_text == usual) == (made.state == "NORMAL")
                page.wait_for_timeout(200)
            assert compared == 5
            features = page.evaluate("window.__mia.shown.features")
            assert any(made.signal and made.signal.features == features for made in shown.values())
            assert page.faults == []
        finally:
            done.set()
            follower.join()
            trader.kill()


def test_danger_is_told_in_words_and_not_by_colour_alone(tmp_path) -> None:
    bare = msgspec.structs.replace(held(), protected=False, stop=None, side=-1, quantity=-2)
    cases = {
        "mode": (frame(2, mode="live"), "LIVE"),
        "state": (frame(3, state="EMERGENCY", ready=False), "⚠ Emergency"),
        "protection": (frame(4, held=bare), "⚠ UNPROTECTED, no stop"),
        "link-orders": (frame(5, links=Links("DISCONNECTED", "READY")), "✕ orders"),
        "position": (frame(6, held=bare), "Short 2 MES @ 6900.00"),
        "verdict-word": (frame(7, signal=signal(reason="OK")), "✓ long trend"),
    }
    with (
        ShownFrames(tmp_path) as shown,
        served_dashboard(tmp_path) as dashboard,
        browser_page() as page,
    ):
        shown.show(frame(1))
        open_page(page, dashboard)
        for name, (made, text) in cases.items():
            shown.show(made)
            until(page, f"window.__mia.frame && window.__mia.frame.seq === {made.seq}")
            until(page, f"document.getElementById('{name}').textContent === '{text}'", 5)
        live = "getComputedStyle(document.getElementById('mode')).backgroundColor"
        shown.show(frame(8, mode="live"))
        until(page, "document.getElementById('mode').textContent === 'LIVE'")
        red = page.evaluate(live)
        shown.show(frame(9))
        until(page, "document.getElementById('mode').textContent === 'PAPER'")
        assert page.evaluate(live) != red


def test_a_dead_trader_is_told_within_a_second(tmp_path) -> None:
    with (
        Trader(tmp_path, wandering) as trader,
        served_dashboard(tmp_path) as dashboard,
        browser_page() as page,
    ):
        open_page(page, dashboard)
        until(page, "window.__mia.frames > 5 && window.__mia.banner === ''")
        assert page.is_hidden("#banner")
        # The time is taken in the page, which a test on a busy machine may be late to ask.
        page.evaluate(
            """() => { window.told = null; const watch = () => {
              if (window.__mia.banner && window.told === null) window.told = Date.now();
              else setTimeout(watch, 5); }; watch(); }"""
        )
        (tmp_path / "run.json").write_text("{}")
        trader.die()
        died = time.time()
        told = until(page, "window.told")
        assert "THE TRADER DIED" in page.evaluate(TEXT, "banner")
        assert page.is_visible("#banner")
        assert told / 1000 - died < 1.0 + float(os.environ.get("MIA_BUSY_S", "1.0"))


def test_the_page_finds_a_server_that_was_started_again(tmp_path) -> None:
    token = tmp_path / "token"
    token.write_text("t" * 40)
    token.chmod(0o600)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    options = ["--port", port, f"--set=dashboard.token_file={token}"]
    state = tmp_path / "state"
    with Trader(state, wandering), browser_page() as page:
        with running_dashboard(state, *options, token="t" * 40) as dashboard:
            open_page(page, dashboard)
        until(page, "window.__mia.banner.includes('No connection')")
        with running_dashboard(state, *options, token="t" * 40):
            began = time.monotonic()
            until(page, "window.__mia.connected && window.__mia.banner === ''")
            assert time.monotonic() - began < 2.0 + float(os.environ.get("MIA_BUSY_S", "1.0"))
        assert page.evaluate("window.__mia.connects") == 2


def test_without_a_trader_the_page_says_so_and_finds_the_one_that_comes(tmp_path) -> None:
    with served_dashboard(tmp_path) as dashboard, browser_page() as page:
        open_page(page, dashboard)
        until(page, "window.__mia.banner.startsWith('No trader has run here')")
        assert page.evaluate(TEXT, "mode") == "NO TRADER"
        with Trader(tmp_path, wandering) as trader:
            trader.shown.draw(screen_lines(30))
            until(page, "window.__mia.banner === '' && window.__mia.bars === 30")
        assert page.faults == []


def test_a_stop_takes_a_typed_word_and_the_keyboard_is_enough(tmp_path) -> None:
    state = tmp_path / "state"
    with (
        obedient_trader(state),
        served_dashboard(state) as dashboard,
        browser_page() as page,
    ):
        open_page(page, dashboard)
        page.focus("#flatten")
        page.keyboard.press("Enter")
        assert page.is_disabled("#order-send")
        page.keyboard.type("flat")
        assert page.is_disabled("#order-send")
        page.keyboard.type("ten")
        assert page.is_enabled("#order-send")
        page.keyboard.press("Enter")
        until(page, "window.__mia.order")
        assert page.evaluate("window.__mia.order.done")
        assert page.evaluate(TEXT, "order-said").startswith("Done")
        assert [event["name"] for event in taken(state)] == ["flatten"]
        page.keyboard.press("Escape")
        until(page, "document.getElementById('state').textContent === '⚠ Halted'")
        assert page.is_visible("#resume")
        assert page.faults == []


def test_what_can_be_done_can_be_reached_by_tab(tmp_path) -> None:
    with (
        Trader(tmp_path, wandering),
        served_dashboard(tmp_path) as dashboard,
        browser_page() as page,
    ):
        open_page(page, dashboard)
        reached = set()
        for _ in range(40):
            page.keyboard.press("Tab")
            reached.add(page.evaluate("document.activeElement.id || document.activeElement.href"))
        assert {"halt", "flatten", "theme", "price-plot", f"{dashboard.url}/"} <= reached
        unnamed = """[...document.querySelectorAll("button, canvas, nav, section, [role=img]")]
          .filter((e) => e.checkVisibility() && !e.closest("#features, .plot"))
          .filter((e) => !(e.textContent.trim() || e.ariaLabel))
          .filter((e) => !e.getAttribute("aria-labelledby")).map((e) => e.outerHTML)"""
        assert page.evaluate(unnamed) == []


def test_words_stand_out_from_their_ground(tmp_path) -> None:
    ratio = """() => {
      const light = (text) => text.match(/[\\d.]+/g).slice(0, 3).map(Number).map((x) => x / 255)
        .map((x) => (x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4))
        .reduce((sum, x, k) => sum + x * [0.2126, 0.7152, 0.0722][k], 0);
      const ground = (node) => {
        const colour = getComputedStyle(node).backgroundColor;
        return colour.startsWith("rgba(0, 0, 0, 0") && node.parentElement
          ? ground(node.parentElement) : colour;
      };
      const low = [];
      for (const node of document.querySelectorAll("body *")) {
        const own = [...node.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
        if (!own || !node.checkVisibility() || node.disabled) continue;
        const [a, b] = [light(getComputedStyle(node).color), light(ground(node))];
        const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (contrast < 4.5) low.push(`${node.id || node.className} ${contrast.toFixed(2)}`);
      }
      return low;
    }"""
    for scheme in ("dark", "light"):
        with (
            Trader(tmp_path, wandering) as trader,
            served_dashboard(tmp_path) as dashboard,
            browser_page(scheme=scheme) as page,
        ):
            trader.shown.draw(screen_lines(30))
            open_page(page, dashboard)
            until(page, "window.__mia.bars > 0")
            assert page.evaluate(ratio) == [], scheme


def test_memory_does_not_grow_with_frames(tmp_path) -> None:
    def heap(session) -> float:
        for _ in range(3):
            session.send("HeapProfiler.collectGarbage")
        return session.send("Runtime.getHeapUsage")["usedSize"]

    assert FRAMES >= 3000
    with (
        Trader(tmp_path, wandering, hz=200) as trader,
        served_dashboard(tmp_path, hz=200) as dashboard,
        browser_page(800, 600) as page,
    ):
        trader.shown.draw(screen_lines(120))
        open_page(page, dashboard)
        session = page.context.new_cdp_session(page)
        session.send("HeapProfiler.enable")
        # Code is compiled and caches are filled in the first thousand.
        until(page, f"window.__mia.frames > {FRAMES // 3}", 600)
        shown, before = page.evaluate("window.__mia.frames"), heap(session)
        until(page, f"window.__mia.frames > {FRAMES}", 3600)
        after = heap(session)
        seen = page.evaluate("window.__mia.frames")
        print(f"heap {before / 1e6:.2f} MB at {shown} frames, {after / 1e6:.2f} MB at {seen}")
        assert after < 1.1 * before
        assert page.faults == []
