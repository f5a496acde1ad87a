import shutil

import pytest
from browser import Browser
from run_cases import START, a_run

from mia.performance.comparison import compare
from mia.performance.comparison_page import write_page
from mia.performance.divergence import diverge
from mia.performance.report import write_report
from mia.performance.stored_run import StoredRun

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium on PATH"),
]

COLOURS = """((id) => {
  const canvas = document.getElementById(id);
  const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  return new Set(new Uint32Array(pixels.buffer)).size;
})"""
PLOTS = ("equity-plot", "fall-plot", "daily-plot", "r-plot", "r-sum-plot", "cone-plot")
LOOKS = [
    {"prefers_color_scheme": "light"},
    {"prefers_color_scheme": "dark"},
    {"width": 390, "height": 844, "prefers_color_scheme": "light"},
]


def written(folder, run):
    path = folder / "report.html"
    write_report(path, run.record, run.summary, run.bars, START)
    return path


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return written(tmp_path_factory.mktemp("report"), a_run(seed=3))


@pytest.mark.parametrize("look", LOOKS, ids=["light", "dark", "phone"])
def test_everything_is_drawn_without_errors_or_requests(page, look):
    with Browser(page, **look) as browser:
        assert browser.evaluate(f"{COLOURS}('candles')") > 20
        assert browser.evaluate(f"{COLOURS}('excursions')") > 20
        for plot in PLOTS:
            shape = f"document.querySelector('#{plot} svg').getBBox()"
            assert browser.evaluate(f"{shape}.width * {shape}.height") > 10_000
        fits = "document.documentElement.scrollWidth <= innerWidth"
        assert browser.evaluate(fits)
        assert browser.errors == []
        assert browser.requests == [page.resolve().as_uri()]


def test_numbers_in_the_page_are_those_of_the_summary(page):
    run = a_run(seed=3)
    with Browser(page) as browser:
        assert browser.evaluate("summary.trades") == run.summary["trades"]
        assert browser.evaluate("trades.net_pnl.reduce((a, b) => a + b)") == pytest.approx(
            run.summary["net_pnl_usd"]
        )
        rows = browser.evaluate("document.querySelectorAll('#trade-list tbody tr').length")
        assert rows == min(50, run.summary["trades"])
        last = browser.evaluate("equity.usd[equity.usd.length - 1]")
        assert last == pytest.approx(run.summary["end_equity_usd"], abs=0.01)
        assert browser.evaluate("trades.t_exit.map((t, k) => givenBack(k))") == [
            trade.mfe_ticks - (trade.exit - trade.entry) * trade.side for trade in run.record.trades
        ]


def test_the_rolling_win_rate_is_that_of_the_summary(tmp_path):
    run = a_run(seed=3, per_day=3.0)
    wins = run.summary["rolling"]["win_rate"]
    assert wins["windows"] > 10
    with Browser(written(tmp_path, run)) as browser:
        assert browser.evaluate("document.querySelector('#rolling-wins svg') !== null")
        rates = [rate for rate in browser.evaluate("rollingWins()") if rate is not None]
    assert (len(rates), rates[-1]) == (wins["windows"], pytest.approx(wins["latest"]))
    assert (min(rates), max(rates)) == pytest.approx((wins["lowest"], wins["highest"]))


def test_candles_and_trades_lie_where_the_data_say(page):
    run = a_run(seed=3)
    with Browser(page) as browser:
        bars = dict(zip(run.bars["t_open"], run.bars["low"], strict=True))
        shown = browser.evaluate("[...candles.t].map((t, k) => [t, candles.low[k]])")
        assert len(shown) > 1000
        assert all(bars[t] == low for t, low in shown)
        entered = browser.evaluate("entries.map((k) => candles.t[k])")
        assert entered == [t.ts_signal // 10**9 for t in run.record.trades]


def test_trades_are_picked_by_key_by_button_and_from_the_list(page):
    with Browser(page) as browser:
        told = "document.getElementById('trade-readout').textContent"
        assert browser.evaluate(told).startswith("Trade 1 of")
        browser.evaluate("document.getElementById('candles').focus()")
        for key in ("n", "n", "p"):
            for kind in ("keyDown", "keyUp"):
                browser.call("Input.dispatchKeyEvent", type=kind, key=key, text=key)
        assert browser.evaluate(told).startswith("Trade 2 of")
        browser.evaluate("document.getElementById('trade-after').click()")
        assert browser.evaluate(told).startswith("Trade 3 of")
        pick = "document.querySelector('#trade-list tbody tr:nth-child(7) button').click()"
        browser.evaluate(pick)
        assert browser.evaluate(told).startswith("Trade 7 of")
        assert browser.evaluate("Math.floor(view.first) <= entries[6]")
        assert browser.evaluate("entries[6] <= view.first + view.count")
        count = browser.evaluate("view.count")
        browser.evaluate("document.getElementById('zoom-in').click()")
        assert browser.evaluate("view.count") < count
        assert browser.errors == []


def test_list_sorts_both_ways(page):
    with Browser(page) as browser:
        heads = "[...document.querySelectorAll('#trade-list thead th')]"
        column = f"{heads}.find((head) => head.dataset.name === 'R').firstChild"
        values = "list.order.map((k) => trades.r_multiple[k])"
        browser.evaluate(f"{column}.click()")
        ascending = browser.evaluate(values)
        browser.evaluate(f"{column}.click()")
        assert ascending == sorted(ascending)
        assert browser.evaluate(values) == sorted(ascending, reverse=True)


@pytest.mark.parametrize("with_bars", [True, False])
def test_a_run_without_trades_is_drawn_without_errors(tmp_path, with_bars):
    page = written(tmp_path, a_run(per_day=0.0, with_bars=with_bars))
    with Browser(page) as browser:
        assert "No trade was closed" in browser.evaluate("document.body.innerText")
        assert browser.evaluate("document.getElementById('candles').hidden")
        assert browser.errors == []
        assert browser.requests == [page.resolve().as_uri()]


def test_paper_shows_light_colours_even_in_a_dark_room(page):
    with Browser(page, prefers_color_scheme="dark") as browser:
        ink = "colour('--ink')"
        dark = browser.evaluate(ink)
        browser.evaluate("window.dispatchEvent(new Event('beforeprint'))")
        assert browser.evaluate(ink) != dark
        browser.evaluate("window.dispatchEvent(new Event('afterprint'))")
        assert browser.evaluate(ink) == dark
        assert browser.pdf().startswith(b"%PDF")


@pytest.mark.parametrize("look", LOOKS, ids=["light", "dark", "phone"])
def test_cone_and_rolling_figures_of_a_year_are_drawn_from_the_data(tmp_path, look):
    run = a_run(seed=3, first=20250102)
    page = written(tmp_path, run)
    with Browser(page, **look) as browser:
        for plot in ("cone-plot", "rolling-sharpe", "rolling-expectancy"):
            shape = f"document.querySelector('#{plot} svg path.curve').getBBox()"
            assert browser.evaluate(f"{shape}.width * {shape}.height") > 3_000
        assert browser.evaluate("document.querySelectorAll('#cone-plot .band').length") == 2
        last = browser.evaluate("sessionLine.usd[sessionLine.usd.length - 1]")
        assert last == pytest.approx(run.summary["net_pnl_usd"], abs=0.01)
        known = browser.evaluate("data.sessions.sharpe.filter((x) => x !== null)")
        assert len(known) == run.summary["rolling"]["sharpe"]["windows"] > 100
        assert min(known) == pytest.approx(run.summary["rolling"]["sharpe"]["lowest"], abs=1e-3)
        told = browser.evaluate("document.getElementById('cone-readout').textContent")
        assert f"After {run.summary['sessions']} sessions" in told
        assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert browser.errors == []


@pytest.mark.parametrize("look", LOOKS, ids=["light", "dark", "phone"])
def test_a_comparison_is_shown_without_errors_or_requests(tmp_path, look):
    runs = [a_run(seed=seed) for seed in (3, 4)]
    sides = [StoredRun(tmp_path / f"{k}", r.record, r.summary, r.bars) for k, r in enumerate(runs)]
    page = tmp_path / "comparison.html"
    write_page(page, compare(*sides), diverge(runs[0].record, runs[1].record))
    with Browser(page, **look) as browser:
        text = browser.evaluate("document.body.innerText")
        assert "only in A" in text
        assert "B less A in 20 sessions" in text
        assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert browser.errors == []
        assert browser.requests == [page.resolve().as_uri()]
