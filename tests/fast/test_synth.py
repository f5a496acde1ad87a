import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import synth as twin

from mia._fast import synth

OPTIONS = (0.03, 0.8, 0.02, 0.4, 0.3, 0.01)
SPACING = 40
FIELDS = (
    "trigger", "side", "t_armed", "t_expires", "build_ns", "follow_ns", "reach", "build_drift",
    "build_flow", "build_size", "pin", "follow_drift", "follow_flow",
)  # fmt: skip


def run(columns, first, directives=None, options=OPTIONS):
    ts, size, step, jump, u, v = columns
    n = len(ts)
    size = size.copy()
    side = np.empty(n, np.int8)
    price, bid, ask = (np.empty(n, np.int32) for _ in range(3))
    latent = np.empty(n)
    synth.touch(
        ts, size, step, jump, u, v, first, *options, SPACING, directives, side, price, bid, ask,
        latent,
    )  # fmt: skip
    return side, price, bid, ask, latent, size


def tape(seed, n, sd=0.3, gap_ns=10**9):
    rng = np.random.default_rng(seed)
    return (
        10**15 + np.cumsum(rng.integers(0, 2 * gap_ns, n)),
        rng.integers(1, 20, n).astype(np.int32),
        rng.normal(0, sd, n),
        np.where(rng.random(n) < 0.01, rng.normal(0, 6, n), 0.0),
        rng.random(n),
        rng.random(n),
    )


def random_directives(seed, ts):
    rng = np.random.default_rng(seed)
    count = int(rng.integers(0, 6))
    out = np.zeros(count, synth.DIRECTIVE_DTYPE)
    if not len(ts):
        return out
    span = int(ts[-1] - ts[0]) + 10**9
    for row, armed in zip(out, np.sort(rng.integers(0, span, count)), strict=True):
        row["trigger"], row["side"] = rng.integers(0, 4), rng.choice([-1, 1])
        row["t_armed"] = ts[0] + armed
        row["t_expires"] = row["t_armed"] + rng.integers(1, span + 1)
        row["build_ns"], row["follow_ns"] = rng.integers(0, span), rng.integers(1, span)
        row["reach"] = rng.choice([0.5, 1.0, 4.0])
        row["build_drift"], row["follow_drift"] = rng.normal(0, 6), rng.normal(4, 4)
        row["build_flow"], row["follow_flow"] = rng.uniform(-1, 1, 2)
        row["build_size"] = rng.choice([1.0, 1.7])
        row["pin"] = rng.choice([-1.0, 0.0, 1.0])
    return out


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 400), st.sampled_from([0.05, 0.3, 2.0]))
def test_the_kernel_walks_like_its_twin(seed, n, sd):
    columns = tape(seed, n, sd)
    first = 18_000.3
    planted = random_directives(seed, columns[0])
    plain = [{name: row[name].item() for name in FIELDS} for row in planted]
    got = run(columns, first, planted if len(planted) else None)
    want = twin.touch(
        list(zip(*(c.tolist() for c in columns), strict=True)), first, OPTIONS, plain, SPACING
    )
    for column, values in zip(got, zip(*want, strict=True), strict=False):
        assert column.tolist() == list(values)
    for row, d in zip(planted, plain, strict=True):
        assert row["t_start"] == d.get("t_start", 0)
        assert row["t_end"] == d.get("t_end", 0)
        assert row["level"] == d.get("level", 0)


def test_patterns_of_every_trigger_happen_somewhere_in_the_comparison():
    seen = set()
    for seed in range(60):
        columns = tape(seed, 400)
        planted = random_directives(seed, columns[0])
        run(columns, 18_000.3, planted if len(planted) else None)
        seen |= set(planted["trigger"][planted["t_start"] > 0].tolist())
    assert seen == {0, 1, 2, 3}


def test_a_still_price_prints_at_one_side_of_one_quote():
    ts, size, step, _, u, v = tape(1, 100)
    columns = (ts, size, np.zeros_like(step), np.zeros_like(step), u, v)
    side, price, bid, ask, *_ = run(columns, 100.9, options=(0.03, 1.0, 0.0, 0.0, 1.0, 0.0))
    assert set(side.tolist()) == {1}
    assert set(price.tolist()) == {101}
    assert (ask - bid == 1).all()


def test_buyers_trade_at_the_ask_and_sellers_at_the_bid():
    side, price, bid, ask, *_ = run(tape(2, 2000), 500.0)
    assert (price == np.where(side > 0, ask, bid)).all()
    assert (ask > bid).all()


@pytest.mark.parametrize("which", range(1, 6))
def test_columns_of_unequal_length_are_refused(which):
    columns = list(tape(3, 10))
    columns[which] = columns[which][:-1]
    with pytest.raises(ValueError, match="columns must have 10 rows"):
        run(columns, 100.0)
