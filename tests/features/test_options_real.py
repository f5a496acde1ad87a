"""Published answers and CBOE's own deltas, on chains as downloaded.

The chains are found through ``MIA_REAL_DATA`` (folder ``spx_chains``).
"""

import os
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm

from mia.data.chains import read_chain
from mia.features.option_book import option_book
from mia.features.option_forward import (
    estimate_rate,
    parity_forwards,
    parity_pairs,
    parity_spot,
)
from mia.features.option_greeks import contract_greeks
from mia.features.option_smile import fit_smile
from mia.features.options_exposure import positioning

FOLDER = Path(os.environ.get("MIA_REAL_DATA", "")) / "spx_chains"

pytestmark = pytest.mark.skipif(
    "MIA_REAL_DATA" not in os.environ or not FOLDER.is_dir(),
    reason="MIA_REAL_DATA names no folder with spx_chains",
)


def chain_of(name):
    return read_chain(FOLDER / f"spx_chain_{name}.csv")


@pytest.fixture(scope="module")
def sunday():
    return chain_of("20240107_known_answer")


def test_published_total_gamma(sunday):
    spot = sunday.meta.index_print
    assert spot == 4697.2402
    weight = sunday.right * np.nan_to_num(sunday.vendor_gamma) * sunday.open_interest
    total = np.nansum(weight) * 100.0 * spot**2 * 0.01
    assert total / 1e9 == pytest.approx(-10.9987, abs=5e-5)


def test_published_gamma_flip(sunday):
    # By the convention of its author: spot for forward, no rates, business days of 262 a year.
    days = np.array(
        [date(d // 10000, d // 100 % 100, d % 100) for d in sunday.expiry.tolist()],
        dtype="datetime64[D]",
    )
    years = np.maximum(np.busday_count(np.datetime64("2024-01-07"), days), 1) / 262
    s = np.nan_to_num(sunday.vendor_iv) * np.sqrt(years)
    used = s > 0.0
    s, strike = s[used], sunday.strike[used]
    weight = (sunday.right * sunday.open_interest)[used]
    levels = np.linspace(0.8, 1.2, 60) * sunday.meta.index_print
    profile = np.empty(len(levels))
    for k, level in enumerate(levels):
        d1 = np.log(level / strike) / s + 0.5 * s
        profile[k] = np.nansum(weight * norm.pdf(d1) / s) * level
    (cell,) = np.flatnonzero(np.diff(np.sign(profile)))
    share = profile[cell] / (profile[cell] - profile[cell + 1])
    assert levels[cell] + share * (levels[cell + 1] - levels[cell]) == pytest.approx(
        4734.48, abs=5e-3
    )


def test_our_answer_for_the_same_chain(sunday):
    found = positioning(sunday)
    assert found.gex_usd_per_pct / 1e9 == pytest.approx(-11.31, abs=0.02)
    assert [flip.level for flip in found.flips] == pytest.approx([4718.1], abs=0.5)
    march = found.quarterlies[0]
    assert march.expiry == 20240315
    assert march.fair_ratio * found.spot == pytest.approx(4736.94, abs=0.05)
    assert found.two_sided_share > 0.99
    assert found.parity_residual < 0.5
    assert found.iv_failure_share < 0.001
    assert found.expiries_seen == found.expiries_expected


@pytest.mark.parametrize("name", ["20220323_spanish_intraday", "20220712_padded_intraday"])
def test_our_deltas_are_near_those_of_cboe(name, record_property):
    chain = chain_of(name)
    book = option_book(chain)
    pairs = parity_pairs(book)
    curve = estimate_rate(book, pairs)
    forwards = parity_forwards(book, pairs, curve)
    spot, _ = parity_spot(book, forwards, curve)
    ours = contract_greeks(book, forwards, fit_smile(book, forwards, spot), spot).delta
    keys = zip(chain.root, chain.settle_ns, chain.strike, chain.right, strict=True)
    theirs = dict(zip(keys, chain.vendor_delta, strict=True))
    settle = book.slice_settle[book.slice_of]
    wanted = zip(book.root, settle, book.strike, book.right, strict=True)
    vendor = np.array([theirs[key] for key in wanted])
    compared = np.isfinite(ours) & (np.abs(vendor) > 0.02) & (np.abs(vendor) < 0.98)
    distance = float(np.median(np.abs(ours - vendor)[compared]))
    record_property("median_distance", distance)
    record_property("contracts", int(compared.sum()))
    print(f"{name}: median |delta - CBOE's| {distance:.4f} over {compared.sum()} contracts")
    assert compared.sum() > 5000
    assert distance < 0.01


def test_the_wiped_quotes_of_an_evening_are_worth_nothing():
    found = positioning(chain_of("20230405_overnight_bad"))
    assert found.two_sided_share < 0.05
    assert found.iv_failure_share > 0.9
    assert found.expiries_seen < 0.2 * found.expiries_expected


def test_settled_series_of_a_third_friday_are_gone():
    found = positioning(chain_of("20230520_unquoted_thirdfriday"))
    assert 20230519 not in found.expiries
    assert found.expiries_seen > 0.9 * found.expiries_expected
    assert found.two_sided_share > 0.99
