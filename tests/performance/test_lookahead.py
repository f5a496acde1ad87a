from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mia.core.base_types import MISSING_PRICE, BarBlock, TradeBlock
from mia.performance.lookahead import check_lookahead, perturbed, sample_cuts, times_of

SECOND = 1_000_000_000
WIDTH = 60
T0 = 1_763_474_400 * SECOND


def bar_block(n, seed=0, start=0, sided=True):
    rng = np.random.Generator(np.random.PCG64(seed))
    path = 24_000 + np.cumsum(rng.integers(-4, 5, size=4 * n)).reshape(n, 4)
    volume = rng.integers(1, 5000, size=n)
    bought = rng.integers(0, volume + 1) if sided else np.zeros(n, np.int64)
    ints = np.int32
    return BarBlock(
        contract="ESZ25",
        width_s=WIDTH,
        t_open=T0 + (start + np.arange(n)) * WIDTH * SECOND,
        open=path[:, 0].astype(ints),
        high=path.max(axis=1).astype(ints),
        low=path.min(axis=1).astype(ints),
        close=path[:, 3].astype(ints),
        volume=volume,
        bid_volume=volume - bought if sided else bought,
        ask_volume=bought,
        trades=rng.integers(1, volume + 1),
    )


def trade_block(n, seed=0, start=0, quoted=True):
    rng = np.random.Generator(np.random.PCG64(seed))
    price = (24_000 + np.cumsum(rng.integers(-2, 3, size=n))).astype(np.int32)
    missing = np.full(n, MISSING_PRICE, np.int32)
    return TradeBlock(
        contract="ESZ25",
        ts_event=T0 + (start + np.arange(n)) * 7 * SECOND,
        price=price,
        size=rng.integers(1, 50, size=n).astype(np.int32),
        aggressor_side=rng.integers(-1, 2, size=n).astype(np.int8),
        bid_price=price - np.int32(1) if quoted else missing,
        ask_price=price if quoted else missing,
    )


def columns(block):
    return {f.name: v for f in fields(block) if isinstance(v := getattr(block, f.name), np.ndarray)}


def joined(blocks):
    parts = [columns(block) for block in blocks]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


SIZES = st.lists(st.integers(0, 12), min_size=1, max_size=4)


def blocks_of(kind, sizes, full):
    blocks, start = [], 0
    for k, n in enumerate(sizes):
        make = bar_block if kind == "bars" else trade_block
        option = {"sided": full} if kind == "bars" else {"quoted": full}
        blocks.append(make(n, k, start, **option))
        start += n
    return blocks


@pytest.mark.parametrize("kind", ["bars", "trades"])
@settings(max_examples=40)
@given(sizes=SIZES, full=st.booleans(), data=st.data())
def test_only_the_future_changes_and_stays_a_market(kind, sizes, full, data):
    blocks = blocks_of(kind, sizes, full)
    originals = [{name: v.copy() for name, v in columns(b).items()} for b in blocks]
    times = np.concatenate([times_of(b) for b in blocks])
    cut = int(data.draw(st.sampled_from([T0 - 1, *times.tolist()])))
    reach = data.draw(st.integers(1, 60))
    changed = list(perturbed(blocks, cut, 3, reach))
    was, became = joined(blocks), joined(changed) if changed else None
    assert became is not None
    known = int((times <= cut).sum())
    rows = min(len(times), known + reach)
    for name, values in became.items():
        assert len(values) == rows
        assert values.dtype == was[name].dtype
        assert np.array_equal(values[:known], was[name][:known])
    time_name = "t_open" if kind == "bars" else "ts_event"
    assert np.array_equal(became[time_name], was[time_name][:rows])
    for block, before in zip(blocks, originals, strict=True):
        assert all(np.array_equal(getattr(block, name), v) for name, v in before.items())
    if kind == "bars":
        assert (became["low"] <= np.minimum(became["open"], became["close"])).all()
        assert (np.maximum(became["open"], became["close"]) <= became["high"]).all()
        sides = became["bid_volume"] + became["ask_volume"]
        assert np.array_equal(sides, became["volume"] if full else np.zeros(rows))
        assert (became["trades"] >= 1).all()
        assert (became["trades"] <= became["volume"]).all()
    else:
        assert (became["size"] >= 1).all()
        missing = became["bid_price"] == MISSING_PRICE
        assert missing.all() if not full else not missing.any()
        assert (became["bid_price"] <= became["ask_price"]).all()


def test_perturbation_depends_on_seed_and_cut_alone():
    blocks = [bar_block(30)]
    cuts = times_of(blocks[0])

    def closes(seed, cut):
        return next(iter(perturbed(blocks, int(cut), seed, 100))).close.tolist()

    assert closes(1, cuts[9]) == closes(1, cuts[9])
    assert closes(1, cuts[9]) != closes(2, cuts[9])


def test_prices_of_the_future_start_where_the_past_ends():
    for kind in ("bars", "trades"):
        blocks = blocks_of(kind, [40, 40], True)
        cut = int(times_of(blocks[0])[-1])
        _, after = perturbed(blocks, cut, 0, 100)
        name = "open" if kind == "bars" else "price"
        last = getattr(blocks[0], "close" if kind == "bars" else "price")[-1]
        assert abs(int(getattr(after, name)[0]) - int(last)) < 40


# Observers know a text at each close. `peek` is how many rows further they look.


def observer(kind, what, peek):
    def observe(blocks):
        parts = joined(list(blocks))
        times = parts["t_open"] + WIDTH * SECOND if kind == "bars" else parts["ts_event"]
        values = what(parts)
        return [
            (int(ts), repr(values[min(k + peek, len(values) - 1)].tolist()))
            for k, ts in enumerate(times)
        ]

    return observe


BAR_VIEWS = {
    "close": lambda b: b["close"],
    "colour": lambda b: np.sign(b["close"] - b["open"]),
    "range": lambda b: b["high"] - b["low"],
    "direction": lambda b: np.sign(np.diff(b["close"], prepend=b["close"][0])),
    "volume": lambda b: b["volume"],
    "delta": lambda b: b["ask_volume"] - b["bid_volume"],
    "count": lambda b: b["trades"],
}
TRADE_VIEWS = {
    "price": lambda t: t["price"],
    "direction": lambda t: np.sign(np.diff(t["price"], prepend=t["price"][0])),
    "size": lambda t: t["size"],
    "side": lambda t: t["aggressor_side"],
    "bid": lambda t: t["bid_price"],
    "ask": lambda t: t["ask_price"],
}
VIEWS = [("bars", name, view) for name, view in BAR_VIEWS.items()]
VIEWS += [("trades", name, view) for name, view in TRADE_VIEWS.items()]


@pytest.mark.parametrize(
    ("kind", "what"), [v[::2] for v in VIEWS], ids=["-".join(v[:2]) for v in VIEWS]
)
@pytest.mark.parametrize("peek", [1, 3])
def test_who_peeks_at_anything_is_caught(kind, what, peek):
    blocks = blocks_of(kind, [50, 50], True)
    cuts = np.concatenate([times_of(b) for b in blocks])[10:90:4].tolist()
    found = check_lookahead(lambda: iter(blocks), observer(kind, what, peek), cuts)
    assert len(found) > 5
    assert {violation.cut for violation in found} <= set(cuts)
    assert all(violation.expected != violation.found for violation in found)


@pytest.mark.parametrize("kind", ["bars", "trades"])
@pytest.mark.parametrize("back", [0, 2])
def test_who_looks_back_only_is_not_accused(kind, back):
    blocks = blocks_of(kind, [50, 0, 50], True)
    cuts = np.concatenate([times_of(b) for b in blocks]).tolist()[::7]

    def observe(given):
        parts = joined(list(given))
        times = parts["t_open"] + WIDTH * SECOND if kind == "bars" else parts["ts_event"]
        seen = [name for name in parts if name not in ("t_open", "ts_event")]
        return [
            (int(ts), repr([parts[name][max(0, k - back) : k + 1].tolist() for name in seen]))
            for k, ts in enumerate(times)
        ]

    assert check_lookahead(lambda: iter(blocks), observe, cuts) == []


def test_an_observation_too_many_is_a_violation():
    blocks = [bar_block(40)]
    cut = int(times_of(blocks[0])[20])

    def observe(given):
        (block,) = given
        seen = [(int(ts), "bar") for ts in times_of(block)]
        # Knows at once whether the last close will be higher than the first.
        higher = block.close[-1] > block.close[0]
        return [(int(times_of(block)[0]), "up"), *seen] if higher else seen

    found = {v.expected + v.found for v in check_lookahead(lambda: iter(blocks), observe, [cut])}
    assert found in ({"upbar"}, {"barup"})


@given(
    st.lists(st.integers(0, 10**6), unique=True, max_size=60),
    st.integers(0, 40),
    st.integers(0, 5),
)
@settings(max_examples=60)
def test_sampled_cuts_are_closes_in_order_without_repetition(closes, samples, seed):
    closes = sorted(closes)
    decided = closes[::3]
    cuts = sample_cuts(closes, decided, samples, seed)
    assert cuts == sorted(set(cuts))
    assert set(cuts) <= set(closes)
    assert len(cuts) <= samples
    if samples >= 2 and decided:
        assert len(set(cuts) & set(decided)) >= min(samples // 2, len(decided))
    assert cuts == sample_cuts(closes, decided, samples, seed)
