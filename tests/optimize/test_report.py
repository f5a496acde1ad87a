import csv
import json
import shutil

import pytest
from browser import Browser
from search_samples import run

from mia.optimize.page import render
from mia.optimize.report import write_study

LOOKS = [
    {"prefers_color_scheme": "light"},
    {"prefers_color_scheme": "dark"},
    {"width": 1900, "height": 1000, "prefers_color_scheme": "light"},
    {"width": 390, "height": 844, "prefers_color_scheme": "light"},
]
CONTRAST = """(() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (c) => { const [r, g, b] = c.map((v) => { v /= 255;
    return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const paper = parse(getComputedStyle(document.body).backgroundColor);
  let worst = 99;
  for (const text of document.querySelectorAll("svg .value")) {
    const rect = text.previousElementSibling, style = getComputedStyle(rect);
    const fill = parse(style.fill), depth = Number(style.fillOpacity);
    const under = fill.slice(0, 3).map((v, k) => v * depth + paper[k] * (1 - depth));
    const a = light(parse(getComputedStyle(text).fill).slice(0, 3)), b = light(under);
    worst = Math.min(worst, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05));
  }
  return worst;
})()"""


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    report = run(folder, trials=11).report
    write_study(folder, report)
    return folder, report


def test_the_files_say_the_same(written):
    folder, report = written
    assert json.loads((folder / "study.json").read_text(encoding="utf-8")) == json.loads(
        json.dumps(report)
    )
    with (folder / "trials.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == report["trials"]["asked"]
    for row, told in zip(rows, report["trial_rows"], strict=True):
        assert float(row["net_pnl_usd"]) == told["net_pnl_usd"]
        assert row["trend.target_r"] == ("" if not told["params"] else row["trend.target_r"])
    page = (folder / "study.html").read_text(encoding="utf-8")
    assert page == render(report)
    assert report["verdict"].split(":")[0] in page
    assert "<script>" not in page


def test_each_ratio_stands_beside_its_sample_and_costs(written):
    folder, report = written
    page = (folder / "study.html").read_text(encoding="utf-8")
    best = report["in_sample"]
    for text in ("Deflated", "Probability of overfitting", "costs", "95 %", "variants"):
        assert text in page
    assert f"{best['variants_tried']} variants" in page


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium on PATH")
@pytest.mark.parametrize("look", LOOKS, ids=["light", "dark", "wide", "phone"])
def test_everything_is_drawn_and_can_be_read(written, look):
    page = written[0] / "study.html"
    with Browser(page, **look) as browser:
        assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")
        shape = "document.querySelector('.drawn .curve').getBBox()"
        assert browser.evaluate(f"{shape}.width * {shape}.height") > 10_000
        assert browser.evaluate("document.querySelectorAll('.maps svg').length") == 6
        assert browser.evaluate(CONTRAST) >= 4.5
        assert browser.errors == []
        assert browser.requests == [page.resolve().as_uri()]
