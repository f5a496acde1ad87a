from math import inf, isnan, log, nan

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mia.features import options_features as of
from mia.features.options_features import OptionsHistory

ANY = st.floats(-1e4, 1e4)


def test_gamma_ratio_is_scaled_until_there_is_history():
    assert of.gamma_ratio(0.15) == 0.5
    assert of.gamma_ratio(-0.9) == -1.0
    assert of.gamma_ratio(0.15, [0.2] * 59) == 0.5
    assert isnan(of.gamma_ratio(nan, [0.1] * 80))


def test_gamma_ratio_is_a_rank_from_60_sessions_on():
    history = [k / 100 for k in range(60)]
    assert of.gamma_ratio(-1.0, history) == -1.0
    assert of.gamma_ratio(1.0, history) == 1.0
    assert of.gamma_ratio(0.30, history) == pytest.approx(2 * 30.5 / 60 - 1)


def test_flip_distance_counts_three_expected_moves():
    assert of.flip_dist(4060.0, 4000.0, 40.0, -1.0) == 0.5
    assert of.flip_dist(3000.0, 4000.0, 40.0, 1.0) == -1.0
    assert isnan(of.flip_dist(4060.0, 4000.0, nan, 1.0))


@pytest.mark.parametrize(("gex", "expected"), [(5e9, 1.0), (-1.0, -1.0), (0.0, 0.0)])
def test_without_a_flip_the_sign_of_gamma_counts(gex, expected):
    assert of.flip_dist(4000.0, nan, 40.0, gex) == expected


def test_wall_position_runs_from_put_to_call_wall():
    assert [of.wall_pos(s, 4100.0, 3900.0, 40.0) for s in (3900, 4000, 4050, 4200)] == [
        -1,
        0,
        0.5,
        1,
    ]
    assert isnan(of.wall_pos(4000.0, 4009.0, 3990.0, 40.0))
    assert isnan(of.wall_pos(4000.0, nan, 3990.0, 40.0))
    assert isnan(of.wall_pos(4000.0, 3900.0, 4100.0, 40.0))


def test_hedging_flow_is_measured_against_its_own_past():
    dollars, past = [1e11] * 20, [0.5] * 20
    value, flow = of.hedge_flow(-5e9, 0.0, 0.25, 0.0, dollars, past)
    assert flow == pytest.approx(1.25e9 / 5e9)
    assert value == pytest.approx(flow - 0.5)


@pytest.mark.parametrize(("sessions", "flows", "known"), [(19, 20, False), (20, 19, True)])
def test_hedging_flow_needs_20_sessions(sessions, flows, known):
    value, flow = of.hedge_flow(-5e9, 0.0, 0.25, 0.0, [1e11] * sessions, [0.5] * flows)
    assert isnan(value)
    assert isnan(flow) != known


def test_skew_is_scaled_by_the_spread_of_its_past():
    assert of.skew(0.45) == pytest.approx(1.0)
    history = [0.2] * 20 + [0.3] * 21 + [0.4] * 20
    assert of.skew(0.3, history) == 0.0
    assert of.skew(0.4, history) == pytest.approx(0.1 / (3 * 1.4826 * 0.1))
    assert of.skew(0.4, [0.3] * 60) == 0.0
    assert of.skew(0.4, [0.3] * 59) == pytest.approx(0.1 / 0.15)


def test_term_is_neutral_at_its_usual_slope():
    assert of.term(0.18, 0.2) == pytest.approx((log(0.9) + 0.08) / 0.15)
    assert of.term(0.4, 0.2) == 1.0
    assert isnan(of.term(nan, 0.2))
    assert isnan(of.term(0.0, 0.2))


@given(ANY, ANY, st.floats(0.01, 1e3), ANY, st.lists(ANY, max_size=100))
@example(5e-324, 2.0, 1.0, 0.0, [])
@example(2.0, 5e-324, 1.0, 0.0, [])
def test_every_feature_stays_in_its_bounds(a, b, width, gex, history):
    values = [
        of.gamma_ratio(a, history),
        of.flip_dist(a, b, width, gex),
        of.wall_pos(a, b + width, b, width),
        of.skew(a, history),
        of.term(abs(a), abs(b)),
    ]
    assert all(isnan(value) or -1.0 <= value <= 1.0 for value in values)


def test_history_holds_the_last_value_of_previous_sessions_only():
    history = OptionsHistory()
    history.open_session(20240108)
    history.record(0.1, 0.3)
    history.record(0.2, nan)
    assert history.gamma_ratios == ()
    history.open_session(20240108)
    assert history.gamma_ratios == ()
    history.open_session(20240109)
    assert (history.gamma_ratios, history.skews) == ((0.2,), (0.3,))
    history.open_session(20240110)
    assert history.gamma_ratios == (0.2,)


def test_history_forgets_after_252_sessions():
    history = OptionsHistory()
    for session_id in range(1, 300):
        history.open_session(session_id)
        history.record(float(session_id), inf)
    assert len(history.gamma_ratios) == 252
    assert history.gamma_ratios[-1] == 298.0
