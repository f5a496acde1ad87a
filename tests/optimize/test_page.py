"""What a search's page draws and says is what its report holds."""

import copy
import re
from itertools import accumulate, pairwise

import pytest
from search_samples import run

from mia.optimize import charts, page, page_tables
from mia.performance.wording import usd

CURVE = {
    "session": [20240102, 20240103, 20240104, 20240105],
    "net_usd": [100.0, -250.0, 0.0, 400.0],
}


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    return run(tmp_path_factory.mktemp("page"), trials=5).report


def points(svg, mark):
    found = re.search(rf'{mark}" points="([^"]+)"', svg)[1]
    return [tuple(map(float, pair.split(","))) for pair in found.split()]


def read_back(svg, drawn):
    """Return the values at which points are drawn, by the labelled lines of the chart."""
    lines = re.findall(
        r'<line class="grid"[^>]* y1="([\d.]+)"[^>]*/><text[^>]*>([^<]+)</text>', svg
    )
    at = {float(y): float(text.replace(",", "").replace("−", "-")) for y, text in lines}
    (y0, v0), (y1, v1) = min(at.items()), max(at.items())
    return [v0 + (y - y0) / (y1 - y0) * (v1 - v0) for _, y in drawn]


def test_the_curve_is_the_running_sum_and_its_rules_stand_where_another_choice_begins():
    svg = charts.equity(CURVE, [20240102, 20240104])
    drawn = points(svg, "curve")
    assert read_back(svg, drawn) == pytest.approx([0.0, *accumulate(CURVE["net_usd"])], abs=3)
    widths = {round(b[0] - a[0], 1) for a, b in pairwise(drawn)}
    assert max(widths) - min(widths) <= 0.2
    rules = [float(x) for x in re.findall(r'class="rule" x1="([\d.]+)"', svg)]
    assert rules == [drawn[2][0]], "the first test begins at the edge, which needs no line"
    assert "2024-01-02" in svg
    assert "2024-01-05" in svg


def test_a_fall_is_drawn_below_the_high():
    svg = charts.drawdown(CURVE)
    area = points(svg, "under")
    assert read_back(svg, area) == pytest.approx([0, 0, 0, -250, -250, 0, 0], abs=3)


def test_a_cell_is_as_strong_as_its_value_and_says_how_many_trials_it_has():
    part = {
        "rows": "a.x", "columns": "b.y", "row_names": ["1"], "column_names": ["2", "3", "4"],
        "mean_objective": [[2.0, -1.0, None]], "trials": [[3, 5, 0]],
    }  # fmt: skip
    svg = charts.heat_map(part, 2)
    cells = re.findall(r'class="(fill-\w+)" fill-opacity="([\d.]+)"', svg)
    assert [kind for kind, _ in cells] == ["fill-gain", "fill-loss"]
    strong, weak = (float(depth) for _, depth in cells)
    assert strong == charts.STRONGEST
    assert weak == pytest.approx(strong / 2, abs=0.01)
    assert re.findall(r">n = (\d+)<", svg) == ["3", "5"]
    assert svg.count('class="empty"') == 1


def test_a_share_of_variance_and_what_chance_would_give_are_drawn_to_scale():
    svg = charts.share_bar(0.52, 0.06)
    assert 'width="52.0"' in svg
    assert 'x1="6.0" x2="6.0"' in svg


def tones(report):
    return [(remark.tone, remark.text) for remark in page.remarks(report)]


def test_only_a_verdict_that_shows_an_edge_is_good(report):
    assert tones(report)[0] == ("bad", report["verdict"])
    shown = copy.deepcopy(report) | {"verdict": "An edge is shown: it is large"}
    assert tones(shown)[0][0] == "good"


def test_a_scheme_that_looks_ahead_and_a_market_that_is_made_up_are_said(report):
    made_up = report | {"market": "synthetic market, seed 5"}
    told = " ".join(text for _, text in tones(made_up))
    assert "nobody could have traded this curve" not in told
    assert "The market was synthetic" in told
    other = copy.deepcopy(report) | {"scheme": "purged", "market": "ES"}
    told = " ".join(text for _, text in tones(other))
    assert "nobody could have traded this curve" in told
    assert "synthetic" not in told


def test_choices_are_held_against_the_settings_as_they_are(report):
    changed = copy.deepcopy(report)
    outside = changed["out_of_sample"]
    outside |= {"trades": 7, "net_pnl_usd": -111.0, "costs_usd": 13.0}
    outside["settings_as_they_are"] |= {"trades": 9, "net_pnl_usd": -222.0, "costs_usd": 17.0}
    told = next(text for _, text in tones(changed) if "In the same sessions" in text)
    order = [usd(-222.0), "9 trades", usd(-111.0), "7 trades", usd(17.0), usd(13.0)]
    assert [told.index(word) for word in order] == sorted(told.index(word) for word in order)


def test_every_trial_has_a_row_and_the_best_is_first(report):
    rows = re.findall(r"<tr><t[hd][^>]*>(\d+)", page_tables.trials(report))
    ranked = sorted(
        (row for row in report["trial_rows"] if row.get("sharpe") is not None),
        key=lambda row: -row["sharpe"],
    )
    assert len(ranked) >= 2
    assert [int(one) for one in rows][: len(ranked)] == [row["trial"] for row in ranked]
    assert len(rows) == len(report["trial_rows"])


def test_rows_beyond_two_hundred_are_counted(report):
    row = report["trial_rows"][0]
    many = copy.deepcopy(report)
    many["trial_rows"] = [row | {"trial": k} for k in range(page_tables.SHOWN_TRIALS + 3)]
    assert "3 more are in trials.csv" in page_tables.trials(many)
    assert "more are in" not in page_tables.trials(report)


def test_a_search_without_a_trade_outside_has_no_curve(report):
    changed = copy.deepcopy(report)
    curve = changed["out_of_sample"]["curve"]
    curve["net_usd"] = [0.0] * len(curve["session"])
    assert "there is no curve" in page.render(changed)


def test_ranges_of_the_space_are_said_as_they_were_given(report):
    table = page_tables.facts(report)
    assert "1.2 to 3.6, step 0.3" in table
    assert f"{report['trials']['asked']} asked" in table
    assert report["data_sha256"] in table
