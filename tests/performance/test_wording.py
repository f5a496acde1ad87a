import pytest
from run_cases import a_run

from mia.performance.wording import chance, number, percent, remarks, usd


def said(run=None, **changed):
    summary = {**(run or a_run(seed=3)).summary, **changed}
    return {remark.text.replace("\u00a0", " "): remark.tone for remark in remarks(summary)}


def sentence(words, **changed):
    (found,) = [(text, tone) for text, tone in said(**changed).items() if words in text]
    return found


@pytest.mark.parametrize(
    ("bounds", "words", "tone"),
    [
        ([-0.1, 0.2], "includes zero: no edge is shown.", "bad"),
        ([0.0, 0.2], "includes zero: no edge is shown.", "bad"),
        ([-0.3, -0.1], "lies below zero", "bad"),
        ([0.05, 0.2], "lies above zero.", "good"),
        ([None, None], "has no interval: no edge is shown.", "bad"),
    ],
)
def test_the_interval_of_the_expectancy_decides_what_is_shown(bounds, words, tone):
    assert sentence(words, expectancy_r_95=bounds)[1] == tone


@pytest.mark.parametrize(
    ("probability", "words", "tone"),
    [
        (0.949, "short of the usual 95 %", "bad"),
        (0.96, "96.0 %, if this was the only variant", "good"),
        (1.0, "above 99.9 %", "good"),
        (None, "undefined", "note"),
    ],
)
def test_the_probability_of_a_positive_sharpe_ratio_is_judged(probability, words, tone):
    assert sentence(words, probabilistic_sharpe=probability)[1] == tone


def test_few_trades_are_called_few():
    assert sentence("too few to lean on", trades=29)[1] == "bad"
    assert "29 trades in 20 sessions" in sentence("too few to lean on", trades=29)[0]
    assert not [text for text in said(trades=30) if "too few" in text]


@pytest.mark.parametrize(
    ("silent", "days", "told"),
    [(0, 20, False), (19, 20, False), (20, 20, True), (20, 300, False), (1475, 1645, True)],
)
def test_a_long_end_without_trades_is_told(silent, days, told):
    texts = said(sessions_after_last_trade=silent, sessions=days)
    assert bool([text for text in texts if "are without a trade" in text]) == told


@pytest.mark.parametrize(
    ("gross", "net", "costs", "words"),
    [
        (100.0, -50.0, 150.0, "turned a gain of 100 USD into a loss"),
        (300.0, 150.0, 150.0, "50.0 % of the gain before costs"),
        (-100.0, -250.0, 150.0, "Costs took 150 USD"),
        (100.0, 100.0, 0.0, "No costs were charged"),
    ],
)
def test_costs_are_set_against_the_gain(gross, net, costs, words):
    sentence(words, gross_pnl_usd=gross, net_pnl_usd=net, costs_usd=costs)


def test_nothing_is_good_about_a_run_without_trades():
    texts = said(a_run(per_day=0.0))
    assert "good" not in texts.values()
    assert next(iter(texts)).startswith("No trade was closed in 20 sessions.")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"source_kind": "synthetic"}, "The market was synthetic"),
        ({"source_kind": "synthetic, as wire"}, "The market was synthetic"),
        ({"open_at_end": True}, "it is in no figure"),
        ({"vix_known": False, "calendar_known": False}, "the VIX or the economic calendar"),
    ],
)
def test_conditions_that_weaken_a_run_are_told(changed, words):
    base = {"source_kind": "bars", "open_at_end": False, "vix_known": True, "calendar_known": True}
    assert not [text for text in said(**base) if words in text]
    sentence(words, **{**base, **changed})


def test_numbers_are_written_with_true_signs_and_dashes_for_nothing():
    assert number(-1234567.891, 2) == "−1\u202f234\u202f567.89"
    assert number(0.004, 2, sign=True) == number(-0.004, 2, sign=True) == "0.00"
    assert number(3.0, 1, sign=True) == "+3.0"
    assert [number(None), usd(None), percent(None), chance(None)] == ["–"] * 4
    assert chance(0.0) == "below 0.1\u00a0%"
