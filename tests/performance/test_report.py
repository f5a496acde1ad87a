import json
import os
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from run_cases import SECOND, START, a_run

from mia.core import sessions
from mia.errors import DataError
from mia.performance import chart_data
from mia.performance.chart_data import Candles, around_trades, pack_candles
from mia.performance.report import TIMINGS, render, write_report

ACCOUNT = ("runs", "closed_trades", "equity_change_usd", "missing_trades", "unexplained_usd")


class Page(HTMLParser):
    """Collects the figures, the visible text and the embedded JSON of a page."""

    def __init__(self, text):
        super().__init__()
        self.figures, self.json, self.texts, self.addresses = {}, {}, [], []
        self._inside = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self._inside.append((tag, attrs))
        if tag == "data":
            self.figures[attrs["data-key"]] = json.loads(attrs["value"])
        self.addresses += [attrs[name] for name in ("src", "href") if name in attrs]

    def handle_endtag(self, tag):
        while self._inside and self._inside.pop()[0] != tag:
            pass

    def handle_data(self, data):
        tag, attrs = self._inside[-1] if self._inside else ("", {})
        if tag == "script" and attrs.get("type") == "application/json":
            self.json[attrs["id"]] = json.loads(data)
        elif tag not in ("script", "style"):
            self.texts.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.texts))


def page_of(run):
    return Page(render(run.record, run.summary, run.bars, START))


@pytest.fixture(scope="module")
def run():
    return a_run(seed=3)


@pytest.fixture(scope="module")
def page(run):
    return page_of(run)


@pytest.mark.parametrize(
    ("more", "title"),
    [
        ({}, "Backtest of the tape"),
        ({"broker": "simulated gateway"}, "Simulated account on the tape"),
        ({"journal": dict.fromkeys(ACCOUNT, 1)}, "Account the tape"),
    ],
)
def test_the_title_says_who_traded(run, more, title):
    text = render(run.record, {**run.summary, "source": "the tape", **more}, run.bars, START)
    assert f"<h1>{title}</h1>" in text
    assert ("fills are those of the simulated gateway" in text) == ("broker" in more)


def test_embedded_summary_is_the_summary(run, page):
    told = json.loads(json.dumps(run.summary))
    assert {key: told.pop(key) for key in TIMINGS} == {
        "seconds": 1.5,
        "ticks_per_second": run.summary["ticks"] / 1.5,
    }
    assert page.json["summary"] == told


def test_every_figure_shown_carries_the_value_of_the_summary(run, page):
    assert {"trades", "win_rate", "expectancy_r", "sharpe", "costs_usd"} <= set(page.figures)
    assert page.figures == {key: run.summary[key] for key in page.figures}


def test_same_run_gives_the_same_bytes(run, tmp_path):
    for name in ("a.html", "b.html"):
        again = a_run(seed=3)
        slower = {**again.summary, "seconds": 2.0 + len(os.listdir(tmp_path))}
        write_report(tmp_path / name, again.record, slower, again.bars, START)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_page_names_no_address_outside_itself(page):
    assert page.addresses
    assert all(link.startswith("#") or link == "data:," for link in page.addresses)


def test_what_was_run_is_named(run, page):
    named = ("source", "trading_mode", "risk_level", "configuration_sha256", "data_sha256")
    for key in (*named, "code_version"):
        assert str(run.summary[key]) in page.text


@pytest.mark.parametrize("with_bars", [True, False])
def test_a_run_without_trades_says_so(with_bars):
    page = page_of(a_run(per_day=0.0, with_bars=with_bars))
    assert "No trade was closed in 20 sessions." in page.text
    assert "nothing to group" in page.text
    assert page.figures["trades"] == 0
    assert page.figures["sharpe"] is None


def test_an_empty_record_still_makes_a_page():
    page = page_of(a_run(first=20251122, last=20251122))
    assert "No trade was closed in 0 sessions. No bar was evaluated." in page.text


def test_names_from_outside_cannot_become_markup():
    hostile = "</script><script>alert(1)</script><img src=http://x.example>"
    run = a_run(per_day=0.5, source=hostile, code_version="a & <b>")
    text = render(run.record, run.summary, run.bars, START)
    assert "<script>alert" not in text
    assert "<img" not in text
    assert Page(text).json["summary"]["source"] == hostile


def unpacked(pack):
    t, at, before, columns = [], 0, 0, []
    for gap, count in zip(pack["runs"][::2], pack["runs"][1::2], strict=True):
        at += gap
        t += [at + k * pack["width"] for k in range(count)]
        at += count * pack["width"]
    names = ("opens", "highs", "lows", "closes")
    for o, h, low, c in zip(*(pack[name] for name in names), strict=True):
        opened = before + o
        before = opened + c
        columns.append((opened, max(opened, before) + h, min(opened, before) - low, before))
    return t, columns


def test_packed_candles_unpack_to_themselves(run):
    candles = Candles.of(run.bars)
    chosen, _ = around_trades(candles, run.record.trades)
    t, columns = unpacked(pack_candles(candles, chosen))
    assert t == candles.t_open[chosen].tolist()
    prices = (candles.open, candles.high, candles.low, candles.close)
    assert columns == list(zip(*(column[chosen].tolist() for column in prices), strict=True))


def test_sessions_with_trades_are_shown_whole_and_others_are_not(run):
    candles = Candles.of(run.bars)
    chosen, words = around_trades(candles, run.record.trades)
    traded = {trade.session_id for trade in run.record.trades}
    assert set(candles.session_id[chosen]) == traded < set(candles.session_id)
    assert set(candles.session_id[~chosen]).isdisjoint(traded)
    assert f"{len(traded)} sessions" in words


@pytest.mark.parametrize("limit", [2500, 1200, 600, 100])
def test_fewer_candles_are_shown_where_the_page_would_grow_too_large(run, limit):
    candles = Candles.of(run.bars)
    chosen, words = around_trades(candles, run.record.trades, limit)
    assert 0 < chosen.sum() <= limit
    assert re.search(r"\d+ candles before and after|latest 100 candles", words)
    last = np.searchsorted(candles.t_open, run.record.trades[-1].ts_exit // SECOND, "right") - 1
    assert chosen[last]


def test_thinned_line_keeps_its_ends_and_extremes():
    rng = np.random.Generator(np.random.PCG64(5))
    values = np.cumsum(rng.normal(size=40_000))
    kept = chart_data.thinned(np.arange(40_000), values, 1000)
    assert len(kept) <= 1002
    assert {0, 39_999, int(values.argmin()), int(values.argmax())} <= set(kept.tolist())


def test_equity_line_ends_at_the_end_and_falls_as_deep_as_the_summary(run):
    line = chart_data.equity_line(run.record, START, 0)
    assert sum(line["usd"]) == round(run.summary["end_equity_usd"] * 100)
    assert max(line["fall"]) == round(run.summary["max_drawdown_usd"] * 100)


def test_equity_line_goes_on_to_the_end_of_the_data(run):
    end = run.bars["t_open"][-1] + 86_400
    line = chart_data.equity_line(run.record, START, run.bars["t_open"][0], end)
    assert sum(line["t"]) == end
    assert line["usd"][-1] == 0
    assert line["fall"][-1] == line["fall"][-2]
    assert line["marks"] == len(run.record.marks)


def test_trades_with_undefined_numbers_are_written_as_null(run):
    trade = replace(run.record.trades[0], confidence=float("nan"))
    assert chart_data.trade_columns([trade])["confidence"] == [None]


def test_a_folder_that_is_a_file_is_refused_and_nothing_is_left(run, tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(DataError, match="cannot write"):
        write_report(tmp_path / "out" / "report.html", run.record, run.summary, run.bars, START)
    assert [entry.name for entry in tmp_path.iterdir()] == ["out"]


@pytest.mark.slow
def test_six_years_stay_below_fifteen_megabytes():
    run = a_run(first=20200102, last=20251231, per_day=3.0)
    assert len(run.bars["t_open"]) > 400_000
    assert len(sessions.trading_days(20200102, 20251231)) == run.summary["sessions"]
    assert len(render(run.record, run.summary, run.bars, START)) < 15_000_000
