"""The pages as a browser shows them: what is drawn, what it says, and what it asks for."""

import json

import pytest
from account_files import leave_account
from chain_samples import at
from dashboard_browser import PHONE, WIDE, Chromium
from dashboard_cases import Trader, needs_chromium, running_dashboard
from frame_cases import frame, screen_lines
from run_cases import START, a_run

from mia.data.chains import chain_file
from mia.data.synthetic.chains import SyntheticChains
from mia.monitoring.dashboard.pages import PAGES
from mia.performance.report import write_report
from mia.performance.results import write_results

pytestmark = [pytest.mark.slow, needs_chromium]

BESIDE = [page.path for page in PAGES if page.path != "/"]
LOOKS = [(WIDE, "dark"), (WIDE, "light"), (PHONE, "dark"), (PHONE, "light")]
SIZES = (
    "[...document.querySelectorAll('.plot svg')].map((s) => s.getBBox().width * s.getBBox().height)"
)
FITS = "document.documentElement.scrollWidth <= innerWidth"


@pytest.fixture(scope="module")
def chromium():
    with Chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def run():
    return a_run(seed=3)


@pytest.fixture(scope="module")
def full(tmp_path_factory, run):
    """A dashboard of a trader that lives and has traded, with a stored run and a chain."""
    folder = tmp_path_factory.mktemp("full")
    leave_account(folder / "state", run.record)
    stored = folder / "results" / "november"
    stored.mkdir(parents=True)
    write_results(stored, run.record, run.summary, START)
    write_report(stored / "report.html", run.record, run.summary, run.bars, START)
    chain = SyntheticChains(lambda ts: 4700.0, seed=3).chain(at(12 * 60))
    chain_file.save_chain(folder / "chain.parquet", chain)
    options = ("--results", str(folder / "results"), "--chain", str(folder / "chain.parquet"))
    with (
        Trader(folder / "state") as trader,
        running_dashboard(folder / "state", *options) as dashboard,
    ):
        trader.shown.draw(screen_lines())
        yield dashboard


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """A dashboard where nothing was ever done."""
    folder = tmp_path_factory.mktemp("bare")
    with running_dashboard(folder / "state", "--results", str(folder / "results")) as dashboard:
        yield dashboard


@pytest.mark.parametrize(("size", "scheme"), LOOKS, ids=str)
def test_every_page_is_shown_without_an_error_or_a_request_elsewhere(chromium, full, size, scheme):
    with chromium.tab(full, size, scheme) as tab:
        for path in BESIDE:
            tab.open(path)
            assert tab.evaluate(FITS), path
            assert tab.evaluate("document.querySelectorAll('.view > *').length") > 1, path
            assert all(size > 5_000 for size in tab.evaluate(SIZES)), path
        assert tab.errors == []
        assert tab.foreign == []


def test_every_page_without_a_trader_says_what_to_do(chromium, bare):
    with chromium.tab(bare) as tab:
        for path in BESIDE:
            tab.open(path)
            command = tab.page.locator(".nothing code").inner_text()
            assert command.startswith("mia "), path
            assert tab.evaluate("document.querySelectorAll('.trouble:not([hidden])').length") == 0
        assert tab.errors == []
        assert tab.foreign == []


def test_performance_shows_the_figures_of_the_account(chromium, full, run):
    with chromium.tab(full) as tab:
        tab.open("/performance")
        net = run.summary["net_pnl_usd"]
        assert tab.tile("Net") == f"{'+' if net > 0 else '−'}${abs(net):,.2f}"
        assert tab.tile("Trades") == str(run.summary["trades"])
        assert tab.tile("Win rate") == f"{100 * run.summary['win_rate']:.1f}%"
        low, high = run.summary["win_rate_wilson_95"]
        assert f"95 %: {100 * low:.0f}% to {100 * high:.0f}%" in tab.page.inner_text(".tiles")
        rows = "[...document.querySelectorAll('tr[data-key^=TRADE]')].map((r) => r.dataset.key)"
        assert tab.evaluate(rows) == [t.trade_id for t in reversed(run.record.trades)]
        marks = tab.evaluate("document.querySelectorAll('.plot .mark').length")
        assert marks == len(run.record.trades)


def test_a_stored_run_is_chosen_and_stays_chosen(chromium, full, run):
    with chromium.tab(full) as tab:
        tab.open("/performance")
        tab.page.select_option("#source", label="results/november")
        tab.until("window.__mia.view.data.run !== ''")
        assert tab.tile("Trades") == str(run.summary["trades"])
        fall = run.summary["max_drawdown_usd"]
        assert tab.tile("Deepest fall") == f"${fall:,.0f}"
        tab.page.reload()
        tab.until("window.__mia?.view?.data && window.__mia.view.data.run !== ''")
        assert tab.evaluate("document.getElementById('source').selectedOptions[0].text") == (
            "results/november"
        )


def test_a_report_is_shown_and_can_ask_this_server_for_nothing(chromium, full):
    with chromium.tab(full) as tab:
        tab.open("/backtests")
        address = tab.page.get_attribute("a[href^='/report/']", "href")
        answer = tab.page.goto(full.url + address)
        assert "sandbox allow-scripts" in answer.headers["content-security-policy"]
        assert answer.headers["cache-control"] == "no-store"
        drawn = """(() => { const c = document.getElementById('candles');
          const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
          return new Set(new Uint32Array(d.buffer)).size })()"""
        tab.until(f"document.getElementById('candles') && {drawn} > 20")
        assert tab.errors == []
        ask = "fetch('/api/limits').then((a) => a.status, () => 'refused')"
        assert tab.evaluate(ask) == "refused"
        assert tab.evaluate("(() => { try { return document.cookie } catch { return 'none' } })()")
        assert tab.evaluate("self.origin") == "null"


def test_limits_show_each_value_and_its_layer(chromium, full):
    with chromium.tab(full) as tab:
        tab.open("/limits")
        row = tab.page.locator("tr[data-key=daily_loss_usd]").inner_text()
        assert "$600" in row
        assert "mode paper" in row
        row = tab.page.locator("tr[data-key=max_size]").inner_text()
        assert "1 ES or 10 MES" in row
        assert "level conservative" in row
        assert row.count("level conservative") == 1
        tab.page.set_viewport_size({"width": 390, "height": 844})
        row = tab.page.locator("tr[data-key=max_size]").inner_text()
        assert row.count("level conservative") == 1


def test_options_show_levels_of_the_chain_and_of_the_trader(chromium, full):
    with chromium.tab(full) as tab:
        tab.open("/options")
        found = tab.evaluate("window.__mia.view.data.file")
        assert found["usable"]
        text = tab.page.inner_text("#page")
        assert f"{found['call_wall']:,.0f}" in text
        shown = frame().levels
        # The chain is asked for; the trader's levels come with its next frame.
        tab.until("document.querySelector('#level-gamma_flip').innerText !== '–'")
        assert tab.page.inner_text("#level-gamma_flip") == f"{shown.gamma_flip / 4:.2f}"
        assert tab.page.inner_text("#level-call_wall") == f"{shown.call_wall / 4:.2f}"
        assert tab.evaluate("document.querySelectorAll('.plot .level.flip').length") == 2


def test_health_shows_what_the_command_knows(chromium, bare):
    with chromium.tab(bare) as tab:
        tab.open("/health")
        data = tab.evaluate("window.__mia.view.data")
        names = "[...document.querySelectorAll('tr[data-key]')].map((r) => r.dataset.key)"
        assert sorted(tab.evaluate(names)) == sorted(check["name"] for check in data["checks"])
        assert "no trader runs" in tab.page.inner_text("#page")


def test_a_model_is_shown_by_its_manifest(chromium, full, tmp_path):
    folder = tmp_path / "state" / "models" / "0a1b2c3d4e5f"
    folder.mkdir(parents=True)
    manifest = {"stage": "SHADOW", "calibration": {"ece": 0.0312346, "brier": 0.21}}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder.parent / "current").write_text("0a1b2c3d4e5f\n")
    with running_dashboard(tmp_path / "state") as dashboard, chromium.tab(dashboard) as tab:
        tab.open("/model")
        text = tab.page.inner_text("#page")
        assert "calibration.ece" in text
        assert "0.031235" in text
        assert "in use" in text
        assert tab.errors == []


def test_everything_that_acts_is_reached_by_keyboard(chromium, full):
    with chromium.tab(full) as tab:
        tab.open("/performance")
        reached = []
        for _ in range(40):
            tab.page.keyboard.press("Tab")
            reached.append(
                tab.evaluate(
                    "((e) => e.id || e.getAttribute('aria-label') || e.textContent)"
                    "(document.activeElement)"
                )
            )
        assert reached[0] == "To the content"
        for name in ("halt", "flatten", "Backtests", "theme", "source"):
            assert name in reached, name
        assert "Closed trades, newest first" in reached
        outline = "getComputedStyle(document.activeElement).outlineStyle"
        tab.page.focus("#source")
        tab.page.keyboard.press("Tab")
        assert tab.evaluate(outline) != "none"


def test_light_and_dark_are_changed_by_a_button_and_charts_follow(chromium, full):
    with chromium.tab(full, scheme="dark") as tab:
        tab.open("/performance")
        colour = "getComputedStyle(document.querySelector('.plot .curve')).stroke"
        dark = tab.evaluate(colour)
        tab.page.click("#theme")
        assert tab.evaluate(colour) != dark


def test_a_server_that_fails_is_told_and_the_page_recovers(chromium, full):
    with chromium.tab(full) as tab:
        tab.open("/performance")
        tab.page.route("**/api/performance*", lambda route: route.abort())
        tab.until("window.__mia.view.error !== ''", 20)
        assert "not current" in tab.page.inner_text(".trouble")
        tab.page.unroute("**/api/performance*")
        tab.until("window.__mia.view.error === ''", 20)
        assert not tab.page.is_visible(".trouble")
