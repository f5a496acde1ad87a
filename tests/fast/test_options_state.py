import math
import random

import numpy as np
import pytest
from numpy.testing import assert_allclose
from reference.options_state import OptionsTwin

from mia._fast import options_state, records
from mia._fast.market_state import MarketState
from mia.core import sessions
from mia.core.kernel_params import kernel_params
from mia.features import options_quality

MINUTE = 60 * 10**9
HOUR = 60 * MINUTE
SETTLES = int(sessions.session_table(20230317, 20230317)["t_rth_open"][0])
DAYS = [sid for sid in sessions.trading_days(20230103, 20230503)]


def session_of(sid):
    return sessions.session_table(sid, sid)


def a_snapshot(sid=20230104, minute=30, **changes):
    """Quotes of `minute` minutes after the opening, known at once, in order."""
    row = session_of(sid)[0]
    asof = int(row["t_rth_open"]) + minute * MINUTE
    record = np.zeros(1, options_state.SNAPSHOT_DTYPE)
    values = {
        "effective": asof,
        "asof": asof,
        "oi_until": options_quality.oi_steps(sessions.previous_trading_day(sid)),
        "session_id": sid,
        "quarter_settle": (SETTLES, SETTLES + 91 * 24 * HOUR, 0, 0),
        "chain_quality": 1.0,
        "spot": 4000.0,
        "quarter_carry": (0.03, 0.04, 0, 0),
        "expected_move": 40.0,
        "gex": 1e9,
        "cex": -5e9,
        "vex": 2e10,
        "flip": 3960.0,
        "call_wall": 4100.0,
        "put_wall": 3900.0,
        "gamma_ratio": 0.5,
        "skew": -0.2,
        "term": 0.1,
        "profile_low": 3400.0,
        "profile_step": 10.0,
        "profile": np.linspace(-6e10, 6e10, 121),
        **changes,
    }
    record["evening_from"], record["evening_until"] = options_quality.evening_span(values["asof"])
    for name, value in values.items():
        record[name] = value
    return record


def fair_es(record, ts):
    left = int(record["quarter_settle"][0, 0]) - ts
    carry = float(record["quarter_carry"][0, 0])
    return float(record["spot"][0]) * math.exp(carry * left / (365 * 24 * HOUR))


def a_bar(sid, minute, price, width=1, volume=1000):
    bar = np.zeros(1, records.BAR_DTYPE)
    t_open = int(session_of(sid)["t_rth_open"][0]) + minute * MINUTE
    bar["session_id"] = sid
    bar["t_open"], bar["t_close"] = t_open, t_open + width * MINUTE
    for name in ("open", "high", "low", "close"):
        bar[name] = round(4 * price)
    bar["volume"] = volume
    return bar


def closed(state, bars, sid):
    out = np.zeros(1, records.OPTIONS_DTYPE)
    state.update(bars, session_of(sid), out)
    return out[0]


def run_one(record, minute=31, price=None, sid=20230104, **params):
    """Evaluate one close, of the bar that ends at `minute`, with one snapshot."""
    state = options_state.OptionsState(kernel_params(**params))
    state.add(record)
    ts = int(session_of(sid)["t_rth_open"][0]) + minute * MINUTE
    bar = a_bar(sid, minute - 1, fair_es(record, ts) if price is None else price)
    return closed(state, bar, sid), state


def after_move(record, moved):
    """Evaluate the close a minute after the quotes, `moved` points from where ES was then."""
    state = options_state.OptionsState(kernel_params())
    state.add(record)
    fair = fair_es(record, int(record["asof"][0]))
    bars = np.concatenate([a_bar(20230104, 29, fair), a_bar(20230104, 30, fair + moved)])
    closed(state, bars[:1], 20230104)
    return closed(state, bars, 20230104), state


def assert_missing(out):
    assert out["feature"].tolist() == [0.0] * 6
    assert out["valid"].tolist() == [0] * 6
    assert np.isnan([out["gamma_flip"], out["call_wall"], out["put_wall"]]).all()


def test_levels_are_mapped_by_the_ratio_of_es_to_spot():
    out, state = run_one(a_snapshot())
    ratio = (state.spot + state.basis) / state.spot
    assert ratio == pytest.approx(math.exp(0.03 * 72 / 365), abs=1e-5)
    for name, level in (("gamma_flip", 3960), ("call_wall", 4100), ("put_wall", 3900)):
        assert out[name] == pytest.approx(4 * level * ratio, rel=1e-12)


def test_spot_dependent_features_follow_the_price_between_snapshots():
    record = a_snapshot()
    near, _ = run_one(record)
    far, state = after_move(record, 20)
    assert state.spot == pytest.approx(4020, abs=0.2)
    assert far["feature"][1] > near["feature"][1] == pytest.approx(40 / 120, abs=0.01)
    assert far["feature"][2] > near["feature"][2] == pytest.approx(0.0, abs=0.01)
    assert far["feature"][0] == near["feature"][0] == 0.5


def test_gamma_at_the_price_is_read_from_the_profile():
    _, state = run_one(a_snapshot())
    assert state.gex == pytest.approx(1e8 * (state.spot - 4000.0), rel=1e-9)


def test_without_a_crossing_the_sign_of_gamma_decides():
    out, _ = run_one(a_snapshot(flip=math.nan, gex=-1.0))
    assert out["feature"][1] == -1.0
    assert math.isnan(out["gamma_flip"])


def test_walls_too_close_to_each_other_have_no_position():
    assert run_one(a_snapshot(call_wall=4009.0, put_wall=3990.0))[0]["valid"][2] == 0
    assert run_one(a_snapshot(call_wall=4010.0, put_wall=3990.0))[0]["valid"][2] == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"chain_quality": 0.0},
        {"chain_quality": 0.19},
        {"oi_until": (0, 0, 0)},
        {"spot": math.nan},
    ],
)
def test_low_quality_is_missing_exactly(changes):
    out, state = run_one(a_snapshot(**changes), price=4020.0)
    assert_missing(out)
    assert state.quality == out["quality"] < 0.2


def test_quality_falls_with_the_age_of_the_quotes():
    ages = (2, 16, 30)
    real_time = [run_one(a_snapshot(), 30 + age)[0]["quality"] for age in ages]
    assert real_time == pytest.approx([1.0, 0.5, 0.0])
    late = [run_one(a_snapshot(delayed=1), 30 + age)[0]["quality"] for age in (20, 40, 60)]
    assert late == pytest.approx([1.0, 0.5, 0.0])


def test_quality_falls_with_the_move_of_the_index():
    record = a_snapshot()
    qualities = [after_move(record, moved)[0]["quality"] for moved in (0, 39, 41, 79, 81)]
    assert qualities == pytest.approx([1.0, 1.0, 0.5, 0.5, 0.2])


def test_es_that_contradicts_the_chain_gives_quality_0():
    record = a_snapshot()
    fair = fair_es(record, int(record["asof"][0]))
    assert run_one(record, 30, fair + 5)[0]["quality"] == 1.0
    assert_missing(run_one(record, 30, fair + 7)[0])


def test_zero_dte_ages_by_the_elapsed_part_of_the_session():
    assert run_one(a_snapshot(zero_dte_share=0.4))[0]["quality"] == pytest.approx(
        1 - 0.5 * 0.4 * 31 / 390
    )


def test_evening_quotes_serve_until_the_next_morning():
    late = a_snapshot(minute=400)
    middle = a_snapshot(minute=300)
    # From 06:45 on newer open interest exists, at 09:45 newer quotes.
    for sid, minute, expected in (
        (20230104, 401, 0.6),
        (20230105, -200, 0.6),
        (20230105, -60, 0.3),
        (20230105, 14, 0.3),
        (20230105, 15, 0.0),
    ):
        assert run_one(late, minute, sid=sid)[0]["quality"] == pytest.approx(expected)
        assert run_one(middle, minute, sid=sid)[0]["quality"] == 0.0


def test_a_snapshot_acts_from_the_first_close_at_or_after_its_effect():
    record = a_snapshot()
    state = options_state.OptionsState(kernel_params())
    state.add(record)
    price = fair_es(record, int(record["asof"][0]))
    assert_missing(closed(state, a_bar(20230104, 28, price), 20230104))
    assert not state.has_snapshot
    assert closed(state, a_bar(20230104, 29, price), 20230104)["quality"] == 1.0
    assert state.snapshot["asof"] == record["asof"]


def test_snapshots_out_of_order_are_refused():
    state = options_state.OptionsState(kernel_params())
    state.add(a_snapshot(minute=30))
    with pytest.raises(ValueError, match="order of effect"):
        state.add(a_snapshot(minute=29))


def test_fresh_vix_and_vix3m_decide_term_with_quality_1():
    state = options_state.OptionsState(kernel_params())
    at = int(session_of(20230104)["t_rth_open"][0]) + 30 * MINUTE
    state.set_vix(at, 30.0, at - MINUTE, 30.0)
    values = [
        closed(state, a_bar(20230104, minute, 4000.0), 20230104) for minute in (28, 29, 33, 34)
    ]
    assert [out["valid"][5] for out in values] == [0, 1, 1, 0]
    assert values[1]["feature"][5] == pytest.approx(0.08 / 0.15)
    with pytest.raises(ValueError, match="positive"):
        state.set_vix(at, 0.0, at, 20.0)


def roll(sid, record, contracts):
    """Run days of a flat market, one contract each, and return S at the end of each."""
    table = sessions.session_table(sid, 20230120)
    state = MarketState(kernel_params(sources_options=1), table, ready_made=True)
    state.wake = 0
    spots = []
    for ordinal, settles in enumerate(contracts):
        state.set_contract(ordinal, settles)
        state.advance_bars(np.concatenate([a_bar(sid, k, 4030.0) for k in range(60)]))
        if not ordinal:
            state.add_options(record)
            state.advance_bars(np.concatenate([a_bar(sid, k, 4030.0) for k in (60, 61)]))
        spots.append(state.options.spot)
        sid = sessions.next_trading_day(sid)
    return spots


def test_the_basis_is_that_of_the_contract_and_starts_anew_with_the_next():
    near, far = SETTLES, SETTLES + 91 * 24 * HOUR
    record = a_snapshot(minute=60, quarter_carry=(0.03, 0.04, 0, 0))
    now = int(record["asof"][0])
    sample = 4030.0 - 4000.0
    first, second = roll(20230104, record, [near, far])
    model = 4030.0 * (1 - math.exp(-0.03 * (near - now) / (365 * 24 * HOUR)))
    # The sample is beyond 3 points of the carry, so the carry of the near quarterly counts.
    assert abs(sample - model) > 3
    assert first == pytest.approx(4030.0 - model, abs=0.05)
    later = now + 24 * HOUR
    model = 4030.0 * (1 - math.exp(-0.04 * (far - later) / (365 * 24 * HOUR)))
    assert second == pytest.approx(4030.0 - model, abs=0.05)


def random_market(seed, width=5):
    """Yield (session row, bars) for consecutive days of a random walk, overnight bars too."""
    rng = random.Random(seed)
    price = 4000.0
    for sid in DAYS:
        bars = []
        for minute in range(-60, 410, width):
            price *= math.exp(rng.gauss(0, 0.0006))
            bars.append(a_bar(sid, minute, price, width, rng.randrange(100, 5000)))
        yield sid, np.concatenate(bars)


def random_snapshots(seed, sid, bars, no_carry):
    """Make chains of a day that mostly agree with ES, known with a delay."""
    rng = random.Random(seed * 1000 + sid)
    made = []
    for _ in range(rng.randrange(5, 15)):
        bar = bars[rng.randrange(len(bars))]
        asof = int(bar["t_close"]) + rng.randrange(-2 * MINUTE, 2 * MINUTE)
        minute = (asof - int(session_of(sid)["t_rth_open"][0])) / MINUTE
        spot = bar["close"] / 4 - rng.gauss(17, 2)
        record = a_snapshot(
            sid,
            0,
            asof=asof,
            effective=asof + rng.randrange(0, 30 * MINUTE),
            delayed=rng.random() < 0.5,
            spot=spot,
            quarter_settle=(0,) * 4 if no_carry else (asof + 50 * 24 * HOUR, 0, 0, 0),
            quarter_carry=(rng.gauss(0.03, 0.002), 0, 0, 0),
            flip=rng.choice([math.nan, spot + rng.gauss(0, 60)]),
            call_wall=spot + rng.expovariate(1 / 60),
            put_wall=spot - rng.expovariate(1 / 60),
            chain_quality=rng.choice([1.0, 1.0, 1.0, 0.9, 0.8, 0.0]),
            zero_dte_share=rng.random() / 2,
            cex=rng.gauss(-5e9, 3e9),
            skew=rng.choice([math.nan, 0.3]),
        )
        assert minute > -70
        made.append(record)
    made.sort(key=lambda record: int(record["effective"][0]))
    return made


def as_dict(record):
    return {name: record[name][0] for name in record.dtype.names}


@pytest.mark.parametrize(
    ("seed", "no_carry", "dvol"),
    [
        (1, False, 0.0),
        pytest.param(2, False, 0.5, marks=pytest.mark.slow),
        pytest.param(3, True, 0.0, marks=pytest.mark.slow),
    ],
)
def test_every_close_agrees_with_the_twin(seed, no_carry, dvol):
    state = options_state.OptionsState(kernel_params(sources_options=1, feat_f12_dvol=dvol))
    twin = OptionsTwin(dvol=dvol)
    newest = spoke = flows = 0
    for sid, bars in random_market(seed):
        session = session_of(sid)
        for record in random_snapshots(seed, sid, bars, no_carry):
            record["effective"] = newest = max(newest, int(record["effective"][0]))
            state.add(record)
            twin.queue.append({k: v.tolist() for k, v in as_dict(record).items()})
        for k in range(len(bars)):
            out = closed(state, bars[: k + 1], sid)
            plain = {
                name: bars[name][k].item() for name in ("t_open", "t_close", "close", "volume")
            }
            features, valid, levels, quality, spot = twin.close(plain, session[0])
            assert_allclose(out["feature"], features, rtol=1e-9, atol=1e-9)
            assert out["valid"].tolist() == valid
            assert_allclose(
                [out["gamma_flip"], out["call_wall"], out["put_wall"]], levels, rtol=1e-9
            )
            assert_allclose([out["quality"], state.spot], [quality, spot], rtol=1e-9, atol=1e-9)
            spoke += quality >= 0.2
            flows += valid[3]
        state.next_session(session)
        twin.next_session(session[0])
    assert spoke > 500
    assert flows > 50
