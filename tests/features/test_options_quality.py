from dataclasses import replace

import numpy as np
import pytest
from options_samples import a_market, intraday_chains

from mia.core import sessions
from mia.features import options_quality as oq
from mia.features.options_quality import FreezeDetector

MINUTE = 60 * 10**9
MONDAY = 20240108


def at(session_id, hour, minute=0):
    row = sessions.session_table(session_id, session_id)[0]
    return int(row["t_pre_market"]) + ((hour - 4) * 60 + minute) * MINUTE


def test_open_interest_ages_at_a_quarter_to_seven_of_each_cash_day():
    steps = oq.oi_steps(20240104)
    moments = [
        (at(20240105, 12), 1.0),
        (at(20240107, 12), 1.0),
        (at(MONDAY, 6, 44), 1.0),
        (at(MONDAY, 6, 45), 0.5),
        (at(20240109, 6, 45), 0.2),
        (at(20240110, 6, 45), 0.0),
    ]
    assert [oq.q_oi(steps, now) for now, _ in moments] == [q for _, q in moments]


def test_unknown_open_interest_is_worth_nothing():
    assert oq.q_oi(oq.oi_steps(0), at(MONDAY, 12)) == 0.0


def test_open_interest_skips_days_without_stocks():
    # Independence Day 2023 was a Tuesday.
    assert oq.oi_known_at(20230703) == at(20230705, 6, 30)
    assert oq.oi_steps(20230630)[0] == at(20230705, 6, 45)


@pytest.mark.parametrize(
    ("delayed", "ages", "expected"),
    [
        (False, (0, 2, 16, 30, 90), (1, 1, 0.5, 0, 0)),
        (True, (0, 20, 40, 60, 90), (1, 1, 0.5, 0, 0)),
    ],
)
def test_quotes_age_linearly_in_regular_hours(delayed, ages, expected):
    asof = at(MONDAY, 10)
    found = [oq.q_quote(asof, delayed, asof + age * MINUTE) for age in ages]
    assert found == pytest.approx(expected)


def test_the_last_quotes_of_a_session_serve_over_night_and_weekend():
    friday = at(20240105, 16, 15)
    for now, expected in (
        (at(20240105, 16, 20), 0.6),
        (at(20240107, 10, 52), 0.6),
        (at(MONDAY, 9, 44), 0.6),
        (at(MONDAY, 9, 45), 0.0),
    ):
        assert oq.q_quote(friday, True, now) == expected
    assert oq.q_quote(at(20240105, 15, 30), True, at(20240107, 10)) == 0.6
    assert oq.q_quote(at(20240105, 15, 29), True, at(20240107, 10)) == 0.0
    assert oq.q_quote(at(20240107, 11), False, at(20240107, 11, 1)) == 0.0


def test_half_days_end_earlier():
    # The day after Thanksgiving closes at 13:00.
    start, end = oq.evening_span(at(20231124, 12, 50))
    assert start == sessions.session_table(20231124, 20231124)[0]["t_rth_close"]
    assert end == at(20231127, 9, 45)
    assert oq.evening_span(at(20231124, 15, 45)) == (0, 0)


SOUND = {
    "two_sided_share": 0.8,
    "parity_residual": 0.99,
    "expiries_seen": 9,
    "expiries_expected": 10,
    "pcr_oi": 1.7,
    "iv_failure_share": 0.09,
}


def test_a_sound_chain_counts_for_the_share_it_holds():
    assert oq.q_chain(**SOUND) == 1.0
    assert oq.q_chain(**SOUND, captured_share=0.6) == 0.6
    assert oq.q_chain(**SOUND, spot_gap=0.0014) == 1.0


@pytest.mark.parametrize(
    "flaw",
    [
        {"two_sided_share": 0.79},
        {"two_sided_share": float("nan")},
        {"parity_residual": 1.0},
        {"parity_residual": float("nan")},
        {"expiries_seen": 8},
        {"expiries_seen": 0, "expiries_expected": 0},
        {"pcr_oi": 0.0},
        {"pcr_oi": float("nan")},
        {"pcr_oi": float("inf")},
        {"iv_failure_share": 0.1},
        {"spot_gap": -0.0015},
    ],
)
def test_any_flaw_makes_a_chain_worthless(flaw):
    assert oq.q_chain(**(SOUND | flaw)) == 0.0


def test_moves_beyond_the_expected_cost_quality():
    assert [oq.q_move(moved, 40.0) for moved in (0, 40, 40.1, 80, 80.1)] == [1, 1, 0.5, 0.5, 0.2]


def test_what_expires_today_ages_over_the_day():
    assert oq.elapsed_fraction(at(MONDAY, 12, 45), MONDAY) == 0.5
    assert oq.elapsed_fraction(at(20240109, 12, 45), MONDAY) == 0.0
    assert oq.q_0dte(0.4, 0.5) == pytest.approx(0.9)


def frozen(chain, minutes, **columns):
    meta = replace(chain.meta, quotes_asof=chain.meta.quotes_asof + minutes * MINUTE)
    return replace(chain, meta=meta, **columns)


def test_quotes_that_stand_still_age_from_their_last_change():
    chain = intraday_chains(a_market(days=1))[0]
    start = chain.meta.quotes_asof
    detector = FreezeDetector()
    polls = [detector.asof(frozen(chain, minutes)) for minutes in (0, 5, 10, 15)]
    assert polls == [start, start + 5 * MINUTE, start, start]
    moved = frozen(chain, 20, bid=np.where(chain.bid > 1, chain.bid - 1, chain.bid))
    assert detector.asof(moved) == start + 20 * MINUTE


def test_the_same_payload_again_is_no_freeze():
    chain = intraday_chains(a_market(days=1))[0]
    detector = FreezeDetector()
    detector.asof(chain)
    detector.asof(chain)
    assert detector.asof(frozen(chain, 5)) == chain.meta.quotes_asof + 5 * MINUTE
