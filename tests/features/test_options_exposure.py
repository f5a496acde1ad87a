"""Positioning as a whole: units, identities, clock, missing data."""

from dataclasses import fields, replace
from datetime import datetime, timedelta
from math import isnan

import numpy as np
import pytest
from option_chains import ASOF, flat, instant, make_chain, series, take

from mia.core.chain import Root
from mia.core.sessions import MINUTE, NEW_YORK
from mia.features import option_math
from mia.features.option_book import YEAR_NS
from mia.features.options_exposure import positioning

RATE = 0.05


def sticky(strike_vol):
    """Return a surface on which the volatility belongs to the strike."""
    return {"vol": lambda moneyness, years: np.full_like(moneyness, strike_vol)}


def greeks_of(chain, spot=5120.0, sigma=0.2, rate=RATE, dividend=0.015):
    years = (chain.settle_ns - chain.meta.quotes_asof) / YEAR_NS
    out = np.empty((6, len(chain)))
    option_math.greeks(
        spot,
        spot * np.exp((rate - dividend) * years),
        chain.strike,
        chain.right,
        np.exp(-rate * years),
        sigma * np.sqrt(years),
        years,
        *out,
    )
    return dict(zip(("price", "delta", "gamma", "vega", "vanna", "charm"), out, strict=True))


@pytest.fixture(scope="module")
def found():
    return positioning(make_chain(), rate=RATE)


def test_exposures_are_the_sums_of_their_definition():
    chain = make_chain(vol=flat)
    found = positioning(chain, rate=RATE)
    greeks = greeks_of(chain)
    signed = chain.right * chain.open_interest * 100.0
    expected = {
        "gex_usd_per_pct": np.sum(signed * greeks["gamma"]) * 5120.0**2 * 0.01,
        "dex_usd": np.sum(signed * greeks["delta"]) * 5120.0,
        "vex_usd_per_point": np.sum(signed * greeks["vanna"]) * 5120.0 * 0.01,
        "cex_usd_per_day": np.sum(signed * greeks["charm"]) * 5120.0 / 365,
    }
    for name, value in expected.items():
        assert getattr(found, name) == pytest.approx(value, rel=1e-5), name
    gross = np.sum(chain.open_interest * greeks["gamma"])
    net = np.sum(chain.right * chain.open_interest * greeks["gamma"])
    assert found.gex_ratio == pytest.approx(net / gross, rel=1e-5)


def test_gamma_exposure_is_the_change_of_delta_over_one_percent():
    step = 0.5
    up, down = (
        positioning(make_chain(spot=5120.0 + move, vol=flat), rate=RATE) for move in (step, -step)
    )
    here = positioning(make_chain(vol=flat), rate=RATE)
    per_point = (up.dex_usd / up.spot - down.dex_usd / down.spot) / (2 * step) * here.spot
    assert here.gex_usd_per_pct == pytest.approx(per_point * here.spot * 0.01, rel=2e-3)


def test_vanna_exposure_is_the_change_of_delta_over_one_vol_point():
    up, down, here = (
        positioning(make_chain(**sticky(sigma)), rate=RATE) for sigma in (0.201, 0.199, 0.2)
    )
    assert here.vex_usd_per_point == pytest.approx((up.dex_usd - down.dex_usd) / 0.2, rel=2e-3)


def test_charm_exposure_is_the_change_of_delta_as_a_day_goes_by():
    listing = [series(Root.SPXW, days) for days in (31, 59)]
    here = positioning(make_chain(vol=flat, listing=listing), rate=RATE)
    hours = timedelta(hours=2)
    later, earlier = (
        positioning(make_chain(vol=flat, listing=listing, asof=ASOF + move), rate=RATE)
        for move in (hours, -hours)
    )
    per_day = (later.dex_usd - earlier.dex_usd) * 6.0
    assert here.cex_usd_per_day == pytest.approx(per_day, rel=2e-3)


def test_the_parts_add_up(found):
    total = found.gex_usd_per_pct
    assert found.gex_by_strike.sum() == pytest.approx(total, rel=1e-10)
    assert found.gex_by_expiry.sum() == pytest.approx(total, rel=1e-10)
    assert found.gross_by_strike.sum() == pytest.approx(found.gross_gex_usd_per_pct, rel=1e-10)
    assert np.all(np.abs(found.gex_by_strike) <= found.gross_by_strike * (1 + 1e-12))


def test_the_profile_at_the_spot_is_the_exposure(found):
    middle = len(found.levels) // 2
    assert found.levels[middle] == pytest.approx(found.spot)
    assert found.profile[middle] == pytest.approx(found.gex_usd_per_pct, rel=1e-9)
    assert found.levels[[0, -1]] == pytest.approx(found.spot * np.array([0.85, 1.15]))


def test_the_dealers_of_this_chain_are_short_below_and_long_above(found):
    assert len(found.flips) == 1
    assert found.flip == found.flips[0].level
    assert found.flips[0].slope > 0.0
    below = found.levels < found.flip
    assert (found.profile[below] < 0.0).all()
    assert (found.profile[~below] > 0.0).all()


def test_walls_are_the_planted_strikes():
    def planted(strike, right):
        return np.where(strike == (5300.0 if right == 1 else 4850.0), 50_000.0, 20.0)

    found = positioning(make_chain(interest=planted))
    assert (found.call_wall, found.put_wall) == (5300.0, 4850.0)
    assert found.abs_gamma_strike in (5300.0, 4850.0)


def test_walls_look_no_further_than_45_days():
    chain = make_chain()
    far = (chain.expiry > 20240426) & (chain.strike == 5500.0) & (chain.right == 1)
    heavy = replace(chain, open_interest=np.where(far, 1e6, chain.open_interest))
    found = positioning(heavy)
    assert found.strikes[np.argmax(found.gex_by_strike)] == 5500.0
    assert found.call_wall == positioning(chain).call_wall != 5500.0


def test_expected_move_is_one_session_of_the_seven_day_volatility(found):
    assert found.sigma_7d == pytest.approx(0.16, abs=2e-3)
    assert found.expected_move == pytest.approx(found.spot * found.sigma_7d / np.sqrt(252))
    assert found.sigma_30d < found.sigma_90d == pytest.approx(0.1625, abs=2e-3)
    assert found.skew_30d > 0.05


def test_a_flat_surface_has_neither_skew_nor_term():
    found = positioning(make_chain(vol=flat), rate=RATE)
    assert found.skew_30d == pytest.approx(0.0, abs=1e-5)
    for sigma in (found.sigma_7d, found.sigma_30d, found.sigma_90d):
        assert sigma == pytest.approx(0.2, abs=1e-6)


def test_put_call_ratios():
    chain = make_chain(interest=lambda strike, right: np.full(len(strike), 30.0 - 20.0 * right))
    found = positioning(chain)
    assert found.pcr_oi == pytest.approx(5.0)
    assert found.pcr_volume == pytest.approx(16.0 / 3.0)


def test_another_clock_with_the_same_variance_gives_the_same_gamma():
    one = positioning(make_chain(vol=flat), rate=RATE)
    stretched = make_chain(
        vol=lambda moneyness, _: np.full_like(moneyness, 0.2 / np.sqrt(2.0)),
        rate=RATE / 2,
        dividend=0.0075,
        stretch=2.0,
    )
    two = positioning(stretched, rate=RATE / 2)
    assert two.gex_usd_per_pct == pytest.approx(one.gex_usd_per_pct, rel=1e-8)
    assert two.vex_usd_per_point == pytest.approx(one.vex_usd_per_point * np.sqrt(2), rel=1e-6)
    assert two.flip == pytest.approx(one.flip, abs=1e-6)


def test_the_flip_moves_continuously_with_the_spot():
    flips = [positioning(make_chain(spot=5120.0 + move), rate=RATE).flip for move in range(-5, 6)]
    assert np.max(np.abs(np.diff(flips))) < 2.0


def test_the_rate_hardly_matters_for_gamma():
    chain = make_chain()
    own, pinned = positioning(chain), positioning(chain, rate=RATE + 0.01)
    difference = abs(pinned.gex_usd_per_pct - own.gex_usd_per_pct)
    assert difference < 0.01 * own.gross_gex_usd_per_pct


def test_third_friday_series_settle_one_after_the_other():
    chain = make_chain()
    friday = datetime(2024, 3, 15, 9, 29, tzinfo=NEW_YORK)
    before, after, evening = (
        positioning(chain, now=instant(friday.replace(hour=hour, minute=minute)))
        for hour, minute in ((9, 29), (9, 30), (16, 0))
    )
    assert before.gross_gex_usd_per_pct > after.gross_gex_usd_per_pct > 0.0
    assert 20240315 in before.expiries
    assert 20240315 in after.expiries
    assert 20240315 not in evening.expiries
    assert before.quarterlies[0].expiry == 20240315
    assert after.quarterlies[0].expiry == 20240621


def test_only_the_afternoon_series_of_today_are_zero_dte():
    friday = instant(datetime(2024, 3, 15, 9, 0, tzinfo=NEW_YORK))
    chain = make_chain()
    both = positioning(chain, now=friday)
    morning = take(chain, (chain.expiry != 20240315) | (chain.root == Root.SPX))
    assert both.zero_dte_share > 0.1
    assert positioning(morning, now=friday).zero_dte_share == 0.0


def test_the_map_to_es_uses_the_forward_of_the_quarterly(found):
    years = (found.quarterlies[1].settle_ns - found.asof) / YEAR_NS
    expiries = [quarterly.expiry for quarterly in found.quarterlies]
    assert expiries == [20240315, 20240621, 20240920, 20241220]
    assert found.quarterlies[1].fair_ratio == pytest.approx(np.exp(0.035 * years), rel=1e-8)
    assert found.es_fair_ratio == found.quarterlies[0].fair_ratio


def test_walls_are_held_between_snapshots_of_one_model(found):
    def shifted(strike, right):
        bell = np.where(strike == (5200.0 if right == 1 else 5000.0), 3000.0, 10.0)
        return np.where(strike == (5225.0 if right == 1 else 4975.0), 3350.0, bell)

    chain = make_chain(interest=shifted, listing=[series(Root.SPXW, days) for days in (14, 31)])
    fresh = positioning(chain, rate=RATE)
    held = positioning(chain, rate=RATE, previous=replace(fresh, call_wall=5200.0))
    other = replace(fresh, call_wall=5200.0, model="gross")
    gex = dict(zip(fresh.strikes, fresh.gex_by_strike, strict=True))
    assert gex[5200.0] < gex[5225.0] < 1.1 * gex[5200.0]
    assert fresh.call_wall == 5225.0
    assert held.call_wall == 5200.0
    assert positioning(chain, rate=RATE, previous=other).call_wall == 5225.0


def test_expiries_of_the_snapshot_before_are_expected_again(found):
    assert found.expiries_seen == found.expiries_expected == 11
    cut = take(make_chain(), make_chain().expiry < 20240401)
    alone = positioning(cut)
    assert alone.expiries_expected == alone.expiries_seen
    assert positioning(cut, previous=found).expiries_expected == 11
    later = instant(datetime(2024, 3, 20, 9, 0, tzinfo=NEW_YORK))
    assert positioning(cut, previous=found, now=later).expiries_expected == 7


def test_expiries_without_holders_are_not_expected():
    chain = make_chain()
    fresh = chain.expiry == 20240326
    empty = replace(
        chain,
        bid=np.where(fresh, 0.0, chain.bid),
        open_interest=np.where(fresh, 0.0, chain.open_interest),
    )
    found = positioning(empty)
    assert found.expiries_seen == found.expiries_expected == 10
    assert found.iv_failure_share == 0.0


def test_clean_quotes_have_full_marks(found):
    assert found.two_sided_share == pytest.approx(1.0, abs=1e-3)
    assert found.iv_failure_share == 0.0
    assert found.parity_residual < 1e-6


def test_an_expiry_without_quotes_weighs_on_the_shares():
    chain = make_chain()
    blank = chain.expiry == 20240319
    found = positioning(replace(chain, bid=np.where(blank, 0.0, chain.bid)))
    whole = positioning(chain)
    share = whole.gex_by_expiry[whole.expiries == 20240319]
    assert 20240319 not in found.expiries
    assert share != 0.0
    assert 0.05 < found.iv_failure_share < 0.4
    assert found.two_sided_share == pytest.approx(1.0 - found.iv_failure_share, abs=1e-3)


def blank(chain, value):
    nothing = np.full(len(chain), value)
    return replace(chain, bid=nothing, ask=nothing, open_interest=nothing, volume=nothing)


@pytest.mark.parametrize(
    "chain",
    [
        take(make_chain(), np.empty(0, dtype=np.intp)),
        blank(make_chain(), 0.0),
        blank(make_chain(), np.nan),
        replace(make_chain(), bid=np.zeros(len(make_chain()))),
        replace(make_chain(), bid=make_chain().ask, ask=make_chain().bid),
        replace(make_chain(), strike=np.full(len(make_chain()), np.nan)),
        take(make_chain(), make_chain().right == 1),
        take(make_chain(), make_chain().strike == 5100.0),
    ],
    ids=["empty", "zero", "nan", "no bids", "crossed", "no strikes", "calls only", "one strike"],
)
def test_an_unusable_chain_gives_nothing_and_no_error(chain):
    found = positioning(chain)
    assert found.two_sided_share == 0.0
    assert found.gex_usd_per_pct == found.gross_gex_usd_per_pct == found.zero_dte_share == 0.0
    assert found.flips == ()
    assert found.expiries_seen == 0
    for name in ("flip", "call_wall", "put_wall", "expected_move", "skew_30d", "es_fair_ratio"):
        assert isnan(getattr(found, name)), name


def test_all_series_settled_gives_nothing():
    found = positioning(make_chain(), now=instant(datetime(2026, 1, 1, tzinfo=NEW_YORK)))
    assert found.two_sided_share == 0.0
    assert found.expiries_expected == 0


def test_a_chain_without_open_interest_has_no_exposure():
    chain = make_chain()
    found = positioning(replace(chain, open_interest=np.full(len(chain), np.nan)))
    assert found.gex_usd_per_pct == 0.0
    assert found.flips == ()
    assert isnan(found.pcr_oi)
    assert found.pcr_volume > 0.0
    assert found.two_sided_share == 0.0


def test_provenance_goes_through_unchanged():
    chain = make_chain()
    meta = replace(
        chain.meta, complete=False, captured_share=0.8, delayed_s=900, index_print=float("nan")
    )
    found = positioning(replace(chain, meta=meta))
    for field in fields(meta):
        if hasattr(found, field.name):
            assert repr(getattr(found, field.name)) == repr(getattr(meta, field.name))
    assert found.asof == meta.quotes_asof
    assert found.now == meta.quotes_asof


def test_the_same_chain_gives_the_same_bits():
    one, two = positioning(make_chain()), positioning(make_chain())
    for field in fields(one):
        np.testing.assert_array_equal(getattr(one, field.name), getattr(two, field.name))


def test_ageing_drops_series_and_keeps_the_volatilities():
    chain = make_chain(listing=[series(Root.SPXW, 14)])
    here = positioning(chain, rate=RATE)
    later = positioning(chain, rate=RATE, now=here.now + 600 * MINUTE)
    assert later.gex_usd_per_pct == here.gex_usd_per_pct


@pytest.mark.parametrize("seed", range(12))
def test_damaged_rows_never_raise(seed):
    rng = np.random.default_rng(seed)
    chain = make_chain()
    damage = np.array([np.nan, np.inf, -np.inf, 0.0, -1.0, 1e300, 1e-300, 5120.0])
    changed = {}
    for name in ("bid", "ask", "strike", "open_interest", "volume"):
        column = getattr(chain, name).copy()
        rows = rng.random(len(column)) < rng.choice([0.002, 0.05, 0.6])
        column[rows] = rng.choice(damage, int(rows.sum()))
        changed[name] = column
    found = positioning(replace(chain, **changed))
    assert 0.0 <= found.two_sided_share <= 1.0 + 1e-12
    assert 0.0 <= found.iv_failure_share <= 1.0 + 1e-12
    assert not isnan(found.gex_usd_per_pct)
    assert -1.0 - 1e-12 <= found.gex_ratio <= 1.0 + 1e-12
