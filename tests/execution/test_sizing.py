"""Vectors and worked examples of sizing, and that it is monotone."""

import json
from dataclasses import replace
from math import inf, nan
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trading_cases import PAPER

from mia.config.method import Cost, Risk
from mia.core.base_types import OrderType
from mia.execution.sizing import FamilyRecord, Kelly, Sizer, kelly

VECTORS = json.loads((Path(__file__).parents[1] / "vectors/12_risk_headfake.json").read_text())
SIZING = [case for case in VECTORS["cases"] if "equity" in case["inputs"]]
EDGE = kelly(100, 60, 150.0, 100.0, 10, 0.25)
YOUNG = kelly(12, 7, 150.0, 100.0, 10, 0.25)


def size(distance=8, equity=25_000.0, remaining=600.0, record=EDGE, mult=1.0, **rest):
    entry = rest.pop("entry", OrderType.STOP)
    half = rest.pop("half", False)
    limits = replace(PAPER, **rest.pop("limits", {}))
    return Sizer(limits, rest).size(distance, entry, equity, remaining, record, mult, half)


def equivalents(sizing) -> float:
    return sizing.quantity * (1 if sizing.symbol == "ES" else 0.1)


def test_there_are_vectors() -> None:
    assert len(SIZING) == 6


@pytest.mark.parametrize("case", SIZING, ids=lambda case: case["name"])
def test_vectors(case) -> None:
    given_, expected = case["inputs"], case["expected"]
    record = kelly(
        given_["n"], given_["wins"], given_["mean_win"], given_["mean_loss"], prior=10, cap=0.25
    )
    assert record.probability == pytest.approx(expected["p"], rel=1e-9)
    assert record.payoff == pytest.approx(expected["b"], rel=1e-9)
    assert record.fraction == pytest.approx(expected["f_star"], abs=1e-9)
    instrument = "auto" if given_.get("auto", True) else given_["inst"]
    limits = replace(
        PAPER,
        max_size=given_["max_size"],
        per_trade_usd=given_["per_trade"],
        per_trade_pct=given_["pct"],
        daily_loss_usd=given_["daily_limit"],
        kelly_fraction=given_["fraction"],
    )
    remaining = max(0.0, given_["daily_limit"] + given_["day_pnl"] + min(given_["open_pnl"], 0))
    found = Sizer(limits, {"risk": Risk(instrument=instrument)}).size(
        given_["d"],
        OrderType.STOP if given_["market_entry"] else OrderType.LIMIT,
        given_["equity"],
        remaining,
        record,
        1.0,
    )
    assert (found.symbol, found.quantity) == (expected["instrument"], expected["contracts"])
    reason = "OK" if found.quantity else "SIZE_ZERO" if found.edge else "KELLY_NO_EDGE"
    assert reason == expected["reason"]


def test_worked_example_1_one_es() -> None:
    # p = 65/110, b = 1.5: f* = (.590909*1.5 - .409091)/1.5 = .318182 -> .25
    # budget_k = .15*.25*25000; ES risk = 8*12.50 + 2*3.45 + 2*12.50
    found = size()
    assert EDGE.fraction == 0.25
    assert found.kelly_budget == pytest.approx(937.50)
    assert found.risk_per_contract == pytest.approx(131.90)
    assert found.risk_budget == pytest.approx(180)  # 0.30 * 600 < 200 < 250
    assert (found.symbol, found.quantity) == ("ES", 1)


def test_worked_example_2_no_edge() -> None:
    # p = 45/110, b = 1.2: (.490909 - .590909)/1.2 < 0
    found = size(record=kelly(100, 40, 120.0, 100.0, 10, 0.25))
    assert (found.symbol, found.quantity, found.edge) == ("ES", 0, False)


def test_worked_example_3_eight_mes() -> None:
    # ES 14*12.50 + 6.90 + 25 = 206.90 > 180; MES 17.50 + 1.92 + 2.50 = 21.92, 180/21.92 = 8.2
    found = size(14, record=YOUNG)
    assert found.risk_per_contract == pytest.approx(21.92)
    assert (found.symbol, found.quantity) == ("MES", 8)


def test_a_limit_entry_slips_once() -> None:
    # 100 + 6.90 + 12.50
    assert size(entry=OrderType.LIMIT).risk_per_contract == pytest.approx(119.40)


def test_a_young_record_trades_at_most_one_es_equivalent() -> None:
    # d = 4: ES risk 81.90; budgets 0.30*2000 = 600 allow 7, max size 5
    rich = {"max_size": 5, "per_trade_usd": 5000.0, "per_trade_pct": 1.0}
    young = size(4, equity=200_000.0, remaining=2000.0, record=YOUNG, limits=rich)
    old = size(4, equity=200_000.0, remaining=2000.0, record=EDGE, limits=rich)
    assert (young.quantity, old.quantity) == (1, 5)


def test_twenty_nine_trades_are_a_young_record_and_thirty_are_not() -> None:
    # 10 wins of 29 or 30 at b = 1: p < 1/2, no edge
    assert size(record=kelly(29, 10, 1.0, 1.0, 10, 0.25)).edge
    assert not size(record=kelly(30, 10, 1.0, 1.0, 10, 0.25)).edge


def test_margin_caps_the_size() -> None:
    # ES 24,000: not one of 23,999; MES 2,400 each: 9
    found = size(4, equity=23_999.0)
    assert (found.symbol, found.quantity) == ("MES", 9)
    sizer = Sizer(PAPER)
    sizer.set_margin("ES", 12_000.0)
    assert sizer.size(4, OrderType.STOP, 23_999.0, 600.0, EDGE, 1.0).symbol == "ES"


def test_half_size_is_rounded_down_and_falls_back_to_mes() -> None:
    # one ES halves to none; MES at d = 8: risk 14.42, floor(180/14.42) = 12, cap 10, half 5
    found = size(half=True)
    assert (found.symbol, found.quantity) == ("MES", 5)


def test_the_product_of_factors_acts_on_both_budgets() -> None:
    # mult .5: risk budget 90 < 131.90; MES risk 14.42: 6
    found = size(mult=0.5)
    assert (found.kelly_budget, found.risk_budget) == (468.75, 90.0)
    assert (found.symbol, found.quantity) == ("MES", 6)
    assert size(mult=0.0).quantity == 0


def test_an_exact_fit_is_not_lost_to_float_dust() -> None:
    # budget 0.3*439.666.. = 131.90 = one ES at d = 8
    assert size(remaining=131.90 / 0.30).symbol == "ES"


@pytest.mark.parametrize("bad", [nan, inf, -inf, -1.0])
def test_a_value_that_is_no_amount_gives_no_size(bad: float) -> None:
    if bad != inf:
        assert size(equity=bad).quantity == 0
        assert size(remaining=bad).quantity == 0
    assert size(mult=bad).quantity == 0


def test_a_record_counts_the_newest_hundred() -> None:
    record = FamilyRecord(10, 0.25)
    for _ in range(100):
        record.add(-100.0)
    assert record.kelly == Kelly(100, 5 / 110, 0.0, 0.0)
    for _ in range(100):
        record.add(150.0)
    assert record.kelly == Kelly(100, 105 / 110, 2.0, 0.25)


def test_a_scratch_counts_as_a_trade_but_neither_wins_nor_loses() -> None:
    record = FamilyRecord(10, 0.25, [0.0, 30.0, -10.0])
    # p = (1 + 5)/(3 + 10), b = 30/10; f* = (18/13 - 7/13)/3 = .282 -> .25
    assert record.kelly == Kelly(3, 6 / 13, 3.0, 0.25)


@pytest.mark.parametrize("means", [(nan, 1.0), (1.0, nan), (0.0, 0.0), (0.0, 1.0)])
def test_without_a_win_or_a_number_there_is_no_fraction(means) -> None:
    assert kelly(50, 30, *means, 10, 0.25).fraction == 0.0


records = st.builds(
    kelly,
    st.integers(0, 100),
    st.just(20),
    st.floats(1, 500),
    st.floats(1, 500),
    st.just(10),
    st.just(0.25),
).filter(lambda record: record.trades >= 20)
cases = st.fixed_dictionaries(
    {
        "distance": st.integers(4, 30),
        "equity": st.floats(1_000, 400_000),
        "remaining": st.floats(0, 3_000),
        "record": records,
        "mult": st.sampled_from([0.25, 0.375, 0.5, 0.75, 0.8, 1.0]),
        "half": st.booleans(),
        "entry": st.sampled_from([OrderType.STOP, OrderType.LIMIT]),
        "limits": st.fixed_dictionaries(
            {
                "max_size": st.integers(1, 5),
                "per_trade_usd": st.floats(50, 2_000),
                "per_trade_pct": st.floats(0.001, 0.1),
            }
        ),
    }
)


@given(case=cases, further=st.integers(1, 12))
def test_size_does_not_grow_with_the_stop_distance(case, further) -> None:
    near = size(**case)
    far = size(**case | {"distance": case["distance"] + further})
    assert equivalents(far) <= equivalents(near)


@given(case=cases, share=st.floats(0, 1))
def test_size_does_not_grow_as_equity_and_allowance_shrink(case, share) -> None:
    full = size(**case)
    poor = case | {"equity": case["equity"] * share, "remaining": case["remaining"] * share}
    assert equivalents(size(**poor)) <= equivalents(full)


@given(case=cases, es=st.floats(0, 20), slip=st.integers(0, 3))
def test_size_does_not_grow_with_costs(case, es, slip) -> None:
    cheap = Cost(es_side=es, mes_side=0.96, slip_ticks=slip)
    dear = Cost(es_side=es + 1, mes_side=1.96, slip_ticks=slip + 1)
    assert equivalents(size(**case, cost=dear)) <= equivalents(size(**case, cost=cheap))


@given(case=cases, share=st.floats(0.1, 1), less=st.integers(0, 4))
def test_size_does_not_grow_when_a_limit_tightens(case, share, less) -> None:
    limits = case["limits"]
    for name in ("per_trade_usd", "per_trade_pct"):
        tight = limits | {name: limits[name] * share}
        assert equivalents(size(**case | {"limits": tight})) <= equivalents(size(**case))
    tight = limits | {"max_size": max(1, limits["max_size"] - less)}
    assert equivalents(size(**case | {"limits": tight})) <= equivalents(size(**case))
    tight = limits | {"kelly_fraction": PAPER.kelly_fraction * share}
    assert equivalents(size(**case | {"limits": tight})) <= equivalents(size(**case))


@given(case=cases)
def test_a_size_fits_every_budget(case) -> None:
    found = size(**case)
    risk = found.quantity * found.risk_per_contract
    assert risk <= found.risk_budget + 1e-6
    if case["record"].trades >= 30:
        assert risk <= found.kelly_budget + 1e-6
    assert equivalents(found) <= case["limits"]["max_size"]
