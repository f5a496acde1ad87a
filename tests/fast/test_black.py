"""The compiled formula against published values, other libraries and its numpy counterpart."""

import numpy as np
import pytest
import QuantLib as ql  # noqa: N813
from blackscholes import BlackScholesCall, BlackScholesPut
from hypothesis import given
from hypothesis import strategies as st
from lets_be_rational import (
    implied_volatility_from_a_transformed_rational_guess as jaeckel,
)
from vollib.black_scholes import black_scholes

from mia._fast import black
from mia.features import option_math

GREEKS = ("price", "delta", "gamma", "vega", "vanna", "charm")

# S 4500, K 4400, T 0.1, r 5 %, q 1.5 %, sigma 20 %.
SPOT, STRIKE, YEARS, RATE, DIVIDEND, SIGMA = 4500.0, 4400.0, 0.1, 0.05, 0.015, 0.2


def arrays(*columns):
    return [np.atleast_1d(np.asarray(column, dtype=np.float64)) for column in columns]


def greeks(spot, forward, strike, right, discount, total_vol, years, module=black):
    forward, strike, discount, total_vol, years = arrays(
        *np.broadcast_arrays(forward, strike, discount, total_vol, years)
    )
    rights = np.broadcast_to(np.int8(right), forward.shape).astype(np.int8)
    out = np.empty((6, len(forward)))
    columns = (np.ascontiguousarray(c) for c in (discount, total_vol, years))
    module.greeks(
        spot, np.ascontiguousarray(forward), np.ascontiguousarray(strike), rights, *columns, *out
    )
    return dict(zip(GREEKS, out, strict=True))


def spot_greeks(spot=SPOT, strike=STRIKE, years=YEARS, sigma=SIGMA, right=1, rate=RATE):
    forward = spot * np.exp((rate - DIVIDEND) * years)
    discount = np.exp(-rate * years)
    found = greeks(spot, forward, strike, right, discount, sigma * np.sqrt(years), years)
    return {name: float(values[0]) for name, values in found.items()}


def vols(forward, strike, right, price, discount, module=black):
    forward, strike, price, discount = arrays(forward, strike, price, discount)
    out = np.empty(len(price))
    rights = np.atleast_1d(np.asarray(right, dtype=np.int8))
    module.total_vols(forward, strike, rights, price, discount, out)
    return out


def stress_grid(count=20_000, seed=7):
    rng = np.random.default_rng(seed)
    years = np.exp(rng.uniform(np.log(53 / 525_600), np.log(2.0), count))
    s = rng.uniform(0.05, 1.5, count) * np.sqrt(years)
    forward = rng.uniform(2000.0, 7000.0, count)
    strike = forward * np.exp(rng.uniform(-6.0, 6.0, count) * s)
    right = np.where(strike >= forward, 1, -1).astype(np.int8)
    discount = np.exp(-0.05 * years)
    price = option_math.prices(forward, strike, right, discount, s)
    keep = price >= 1e-12
    return [column[keep] for column in (forward, strike, right, price, discount, s)]


def test_reference_values_of_a_call():
    found = spot_greeks()
    assert found["delta"] == pytest.approx(0.6698546672, abs=5e-11)
    assert found["gamma"] == pytest.approx(0.00126922242, abs=5e-12)
    assert found["vega"] == pytest.approx(514.0350804, abs=5e-8)
    assert found["vanna"] == pytest.approx(-0.6846049381, abs=5e-11)


def test_reference_values_of_a_put():
    found = spot_greeks(right=-1)
    assert found["delta"] == pytest.approx(-0.3286464572, abs=5e-11)
    assert found["gamma"] == spot_greeks()["gamma"]


def test_charm_counts_calendar_time_forward():
    assert spot_greeks()["charm"] == pytest.approx(+0.4947502268, abs=5e-11)
    assert spot_greeks(right=-1)["charm"] == pytest.approx(+0.4797727100, abs=5e-11)


@pytest.mark.parametrize(
    ("strike", "gamma", "call", "put"),
    [
        (28000.0, 1.094178164645857e-4, 1277.8029889086756, 10.552988908674706),
        (29000.0, 5.107053863433261e-4, 441.4765816056315, 174.2265816056315),
        (29267.25, 5.493453136212468e-4, 289.6877623752662, 289.6877623752662),
        (29500.0, 5.241228024444843e-4, 189.1608810281432, 421.91088102813956),
        (30500.0, 1.407260207652456e-4, 14.832062166891546, 1247.5820621668936),
    ],
)
def test_published_black_76_probe(strike, gamma, call, put):
    forward, years, s = 29267.25, 0.019, 0.18 * np.sqrt(0.019)
    calls = greeks(forward, forward, strike, 1, 1.0, s, years)
    puts = greeks(forward, forward, strike, -1, 1.0, s, years)
    assert calls["gamma"][0] == pytest.approx(gamma, rel=1e-12)
    assert calls["price"][0] == pytest.approx(call, rel=1e-12)
    assert puts["price"][0] == pytest.approx(put, rel=1e-11)


def test_documented_example_of_vollib():
    forward = 100.0 * np.exp(0.01 * 0.5)
    found = greeks(100.0, forward, 90.0, 1, np.exp(-0.005), 0.2 * np.sqrt(0.5), 0.5)
    assert found["price"][0] == pytest.approx(12.111581435, abs=5e-10)
    assert found["price"][0] == pytest.approx(
        black_scholes("c", 100.0, 90.0, 0.5, 0.01, 0.2), rel=1e-13
    )


def test_implied_volatility_agrees_with_jaeckel_on_the_stress_grid():
    forward, strike, right, price, discount, s = stress_grid()
    found = vols(forward, strike, right, price, discount)
    rows = zip(price / discount, forward, strike, right, strict=True)
    reference = np.array([jaeckel(p, f, k, 1.0, float(w)) for p, f, k, w in rows])
    assert len(found) > 19_900
    assert np.max(np.abs(found - reference)) < 1e-12
    assert np.max(np.abs(found - s)) < 1e-12


def test_implied_volatility_agrees_with_quantlib():
    forward, strike, right, price, discount, _ = stress_grid(300, seed=3)
    found = vols(forward, strike, right, price, discount)
    kinds = {1: ql.Option.Call, -1: ql.Option.Put}
    compared = 0
    for row in np.flatnonzero(price > 1.0):
        reference = ql.blackFormulaImpliedStdDev(
            kinds[int(right[row])],
            strike[row],
            forward[row],
            price[row],
            discount[row],
            0.0,
            found[row] * 1.1,
            1e-12,
            200,
        )
        assert found[row] == pytest.approx(reference, abs=1e-8)
        compared += 1
    assert compared > 100


def test_price_and_greeks_agree_with_quantlib():
    rng = np.random.default_rng(5)
    for _ in range(200):
        spot, strike = rng.uniform(3000.0, 6000.0, 2)
        years, sigma, rate, dividend = rng.uniform((0.01, 0.05, 0.0, 0.0), (2.0, 0.8, 0.06, 0.03))
        forward, discount = spot * np.exp((rate - dividend) * years), np.exp(-rate * years)
        s = sigma * np.sqrt(years)
        for right, kind in ((1, ql.Option.Call), (-1, ql.Option.Put)):
            theirs = ql.BlackCalculator(ql.PlainVanillaPayoff(kind, strike), forward, s, discount)
            ours = greeks(spot, forward, strike, right, discount, s, years)
            assert ours["price"][0] == pytest.approx(theirs.value(), rel=1e-9, abs=1e-9)
            assert ours["delta"][0] == pytest.approx(theirs.delta(spot), rel=1e-10, abs=1e-12)
            assert ours["gamma"][0] == pytest.approx(theirs.gamma(spot), rel=1e-10, abs=1e-14)
            assert ours["vega"][0] == pytest.approx(theirs.vega(years), rel=1e-10, abs=1e-10)
            assert ours["vanna"][0] == pytest.approx(theirs.vanna(spot, years), rel=1e-9, abs=1e-11)


def test_vanna_and_charm_agree_with_blackscholes():
    rng = np.random.default_rng(6)
    for _ in range(200):
        spot, strike = rng.uniform(3000.0, 6000.0, 2)
        years, sigma = rng.uniform((0.01, 0.05), (2.0, 0.8))
        for right, kind in ((1, BlackScholesCall), (-1, BlackScholesPut)):
            theirs = kind(S=spot, K=strike, T=years, r=RATE, sigma=sigma, q=DIVIDEND)
            ours = spot_greeks(spot, strike, years, sigma, right)
            assert ours["vanna"] == pytest.approx(theirs.vanna(), rel=1e-9, abs=1e-11)
            assert ours["charm"] == pytest.approx(theirs.charm(), rel=1e-9, abs=1e-11)


@pytest.mark.parametrize("right", [1, -1])
@pytest.mark.parametrize("strike", [3900.0, 4400.0, 4500.0, 4900.0])
def test_greeks_are_the_derivatives_of_the_price(strike, right):
    def at(**changes):
        return spot_greeks(strike=strike, right=right, **changes)

    here = at()
    step = 0.05
    up, down = at(spot=SPOT + step), at(spot=SPOT - step)
    assert here["delta"] == pytest.approx((up["price"] - down["price"]) / (2 * step), abs=1e-7)
    assert here["gamma"] == pytest.approx((up["delta"] - down["delta"]) / (2 * step), abs=1e-9)
    step = 1e-5
    up, down = at(sigma=SIGMA + step), at(sigma=SIGMA - step)
    assert here["vega"] == pytest.approx((up["price"] - down["price"]) / (2 * step), abs=1e-4)
    assert here["vanna"] == pytest.approx((up["delta"] - down["delta"]) / (2 * step), abs=1e-7)
    step = 1e-6
    later, earlier = at(years=YEARS - step), at(years=YEARS + step)
    assert here["charm"] == pytest.approx(
        (later["delta"] - earlier["delta"]) / (2 * step), abs=1e-7
    )


@given(
    s=st.floats(1e-4, 6.0),
    z=st.floats(-8.0, 8.0),
    forward=st.floats(10.0, 20_000.0),
    discount=st.floats(0.5, 1.1),
)
def test_volatility_survives_the_round_trip(s, z, forward, discount):
    strike = forward * np.exp(z * s)
    right = np.array([1 if strike >= forward else -1], dtype=np.int8)
    columns = arrays(forward, strike, discount, s)
    price = option_math.prices(columns[0], columns[1], right, columns[2], columns[3])
    bound = discount * min(forward, strike)
    found = vols(forward, strike, right, price, discount)[0]
    density = np.exp(-0.5 * (np.log(forward / strike) / s + 0.5 * s) ** 2)
    if price[0] > 1e-200 and density > 1e-8 and price[0] < 0.999 * bound:
        assert found == pytest.approx(s, rel=1e-9, abs=1e-12)
    else:
        assert np.isnan(found) or found > 0.0


@given(
    st.lists(
        st.tuples(
            st.floats(-1.0, 1e4) | st.just(float("nan")),
            st.floats(0.0, 1e4) | st.just(float("nan")),
            st.sampled_from([1, -1]),
            st.floats(-1.0, 1e4) | st.sampled_from([0.0, 1e-300, float("nan"), float("inf")]),
            st.floats(0.0, 1.2),
        ),
        max_size=20,
    )
)
def test_both_paths_give_the_same_volatility_for_any_input(rows):
    columns = list(zip(*rows, strict=True)) if rows else [[]] * 5
    fast, plain = (vols(*columns, module=module) for module in (black, option_math))
    np.testing.assert_allclose(fast, plain, rtol=1e-12, atol=1e-12)


def test_both_paths_agree_on_the_stress_grid():
    forward, strike, right, price, discount, s = stress_grid(5_000)
    years = np.full(len(s), 0.2)
    fast, plain = (
        vols(forward, strike, right, price, discount, module) for module in (black, option_math)
    )
    np.testing.assert_allclose(fast, plain, rtol=1e-12, atol=1e-12)
    fast, plain = (
        greeks(4500.0, forward, strike, 1, discount, s, years, module)
        for module in (black, option_math)
    )
    for name in GREEKS:
        scale = np.max(np.abs(plain[name]))
        np.testing.assert_allclose(fast[name], plain[name], rtol=1e-12, atol=1e-12 * scale)


def test_both_paths_agree_on_the_gamma_profile():
    forward, strike, _, _, discount, s = stress_grid(5_000)
    weight = np.random.default_rng(1).normal(0.0, 1000.0, len(s))
    levels = 4500.0 * np.linspace(0.85, 1.15, 121)
    fast, plain, gross = np.empty((3, len(levels)))
    terms = (forward / 4500.0, discount, strike, s)
    black.gamma_profile(levels, *terms, weight, fast)
    option_math.gamma_profile(levels, *terms, weight, plain)
    option_math.gamma_profile(levels, *terms, np.abs(weight), gross)
    assert np.all(np.abs(fast - plain) <= 1e-12 * gross)


def test_profile_at_the_spot_is_the_sum_of_gammas():
    forward, strike, _, _, discount, s = stress_grid(2_000)
    weight = np.random.default_rng(2).uniform(0.0, 1000.0, len(s))
    out = np.empty(1)
    black.gamma_profile(np.array([4500.0]), forward / 4500.0, discount, strike, s, weight, out)
    gamma = greeks(4500.0, forward, strike, 1, discount, s, np.ones(len(s)))["gamma"]
    assert out[0] == pytest.approx(np.sum(weight * gamma) * 4500.0**2, rel=1e-12)


def test_call_and_put_of_one_strike_share_gamma_vega_and_vanna():
    forward, strike, _, _, discount, s = stress_grid(1_000)
    years = np.full(len(s), 0.3)
    calls = greeks(4500.0, forward, strike, 1, discount, s, years)
    puts = greeks(4500.0, forward, strike, -1, discount, s, years)
    for name in ("gamma", "vega", "vanna"):
        np.testing.assert_array_equal(calls[name], puts[name])
    parity = calls["price"] - puts["price"]
    np.testing.assert_allclose(parity, discount * (forward - strike), rtol=0, atol=1e-8)


def test_in_the_money_price_gives_the_volatility_of_its_twin():
    forward, strike, right, price, discount, s = stress_grid(2_000)
    inside = price + discount * np.abs(forward - strike)
    found = vols(forward, strike, -right, inside, discount)
    visible = price > 1e-3
    np.testing.assert_allclose(found[visible], s[visible], rtol=1e-6)


@pytest.mark.parametrize(
    ("price", "discount", "forward", "strike"),
    [
        (0.0, 1.0, 100.0, 120.0),
        (-1.0, 1.0, 100.0, 120.0),
        (100.0, 1.0, 100.0, 120.0),
        (np.nan, 1.0, 100.0, 120.0),
        (np.inf, 1.0, 100.0, 120.0),
        (1.0, 0.0, 100.0, 120.0),
        (1.0, np.nan, 100.0, 120.0),
        (1.0, 1.0, 0.0, 120.0),
        (1.0, 1.0, np.nan, 120.0),
        (1.0, 1.0, 100.0, -5.0),
        (19.999, 1.0, 120.0, 100.0),
    ],
)
def test_no_volatility_explains_an_impossible_price(price, discount, forward, strike):
    assert np.isnan(vols(forward, strike, 1, price, discount)[0])


@pytest.mark.parametrize("module", [black, option_math])
def test_at_the_money_volatility_has_its_closed_form(module):
    # N(0.05) - N(-0.05)
    price = 100.0 * 0.0398776119
    assert vols(100.0, 100.0, 1, price, 1.0, module)[0] == pytest.approx(0.1, rel=1e-7)


def test_rows_without_a_volatility_count_nothing_in_the_profile():
    terms = [np.array(column) for column in ([1.0, 1.0], [1.0, 1.0], [100.0, 100.0])]
    whole, part = np.empty((2, 1))
    level = np.array([100.0])
    black.gamma_profile(level, *terms, np.array([0.1, np.nan]), np.array([1.0, 5.0]), whole)
    one = [column[:1] for column in terms]
    black.gamma_profile(level, *one, np.array([0.1]), np.array([1.0]), part)
    assert whole[0] == part[0] > 0.0


def test_greeks_without_a_volatility_are_nan():
    for found in greeks(100.0, [100.0] * 3, 100.0, 1, 1.0, [np.nan, 0.0, 0.1], 1.0).values():
        assert np.isnan(found).tolist() == [True, True, False]


def test_unequal_lengths_are_refused():
    one, two, right = np.ones(1), np.ones(2), np.ones(1, dtype=np.int8)
    with pytest.raises(ValueError, match="equally long"):
        black.total_vols(one, one, right, one, two, one)
    with pytest.raises(ValueError, match="equally long"):
        black.greeks(1.0, one, one, right, one, one, one, *([one] * 5), two)
    with pytest.raises(ValueError, match="equally long"):
        black.gamma_profile(two, one, one, one, one, one, one)
