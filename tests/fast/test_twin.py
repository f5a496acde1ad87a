"""Bar streams, levels, patterns, battle and regime beside their plain twins.

Most go through the adapters that the worked examples use; what those cannot reach is compared
directly. `fast.test_market_state_twin` compares all kernels together.
"""

from typing import Any

import numpy as np
import strategies_market as market
from adapters import BarRow
from comparison import assert_same
from compiled_engine import bar_records, split_params
from fast.twins import SID, SIDES, agree, one_session
from hypothesis import assume, given
from hypothesis import strategies as st
from reference import bars as twin_bars
from reference.battle_navale import BattleNavale
from reference.parameters import parameters
from reference.profile import Profile as TwinProfile
from reference.regime import MarketRegime

from mia._fast import battle_navale, footprint, profile, regime
from mia.core.kernel_params import kernel_params

FIRST, LAST = 1_262_300_400, 1_893_000_000
TIME_OF_DAY = 1_709_649_000_000_000_000


@given(st.lists(st.integers(FIRST, LAST), max_size=20))
def test_the_clock_is_that_of_the_twin(seconds: list[int]) -> None:
    agree("clock", [second * 10**9 + 999_999_999 for second in seconds])


@given(
    st.lists(st.integers(-50, 50), min_size=1, max_size=60),
    st.lists(st.integers(1, 99), min_size=1, max_size=4),
)
def test_ranks_median_and_deviation(x: list[int], q: list[int]) -> None:
    agree("ranks", x, q)


@given(
    st.sampled_from(
        [
            ("time", 60),
            ("time", 15),
            ("time", 7200),
            ("reversal", 1),
            ("reversal", 4),
            ("tick", 1),
            ("tick", 7),
            ("volume", 1),
            ("volume", 60),
            ("range", 1),
            ("range", 5),
        ]
    ),
    st.sampled_from(("tick_rule", "none")),
    st.sampled_from((3, 100)),
    market.trades(market.UNRULY_KINDS),
)
def test_builders(stream: tuple[str, int], rule: str, large: int, trades: list[Any]) -> None:
    params = {"flow.side_fallback": rule, "feat.f8_min_lots": large}
    agree("build_bars", *stream, params, trades)


PRINTS = st.lists(st.tuples(st.integers(15_900, 15_960), st.integers(1, 900)), max_size=60)


@given(PRINTS)
def test_vwap_of_trades(prints: list[tuple[int, int]]) -> None:
    agree("vwap_of_trades", prints)


@given(market.bars())
def test_vwap_of_bars(bars: list[Any]) -> None:
    agree("vwap_of_bars", [BarRow(*bar) for bar in bars])


@given(PRINTS, st.integers(0, 4_000))
def test_profile_of_trades(prints: list[tuple[int, int]], jump: int) -> None:
    assume(prints)
    far = [(price + jump * (k % 3 == 2), size) for k, (price, size) in enumerate(prints)]
    agree("profile_of_trades", far)


@given(market.bars(max_length=40))
def test_profile_of_bars(bars: list[Any]) -> None:
    agree("profile_of_bars", [(low, high, v) for *_, high, low, _, v, _, _ in bars])


@given(
    st.lists(st.integers(0, 6), min_size=1, max_size=80),
    st.integers(1, 5),
    st.integers(1, 9),
    st.sampled_from((1.0, 1.2, 1.5)),
    st.sampled_from((0.5, 0.9, 1.0)),
    st.integers(1, 100),
)
def test_nodes_and_value_area_with_other_parameters(
    sizes: list[int], smooth: int, window: int, high: float, low: float, pct: int
) -> None:
    assume(sizes[0] and sizes[-1])
    overrides = {"profile_smooth": smooth, "profile_node_window": window}
    overrides |= {"profile_hvn_ratio": high, "profile_lvn_ratio": low}
    overrides["profile_value_area_pct"] = pct
    kernel, twin = profile.Profile(kernel_params(**overrides)), TwinProfile()
    for k, size in enumerate(sizes):
        if size:
            kernel.add_trade(16_000 + k, size)
            twin.add_trade(16_000 + k, size)
    p = parameters(overrides)
    assert kernel.levels() == (twin.poc(), *twin.value_area(pct))
    assert (kernel.hvn, kernel.lvn) == twin.nodes(p)


@given(
    st.lists(st.tuples(st.integers(0, 25), st.integers(0, 60), st.integers(0, 60)), max_size=40),
    st.integers(0, 3),
)
def test_stacked_imbalance(rows: list[tuple[int, int, int]], margin: int) -> None:
    by_price = {16_000 + price: (16_000 + price, bid, ask) for price, bid, ask in rows}
    low, high = min(by_price, default=16_000), max(by_price, default=16_000)
    agree("stacked_imbalance", low - margin, high + margin, list(by_price.values()))


@given(st.lists(st.tuples(st.integers(-900, 900), st.integers(1, 99), SIDES), max_size=50))
def test_footprint(prints: list[tuple[int, int, int]]) -> None:
    kernel, twin = footprint.Footprint(), twin_bars.TickBar(10**9)
    for price, size, side in prints:
        kernel.add(price, size, side)
        twin.add(twin_bars.Trade(TIME_OF_DAY, price, size, side, SID.of(TIME_OF_DAY)))
    rows = twin.open_bar.footprint if twin.open_bar else {}
    prices = range(min(rows, default=0), max(rows, default=-1) + 1)
    expected = [rows.get(price, [0, 0, 0]) for price in prices]
    assert kernel.rows.tolist() == [[bid, both - bid - ask, ask] for bid, ask, both in expected]
    assert not rows or kernel.low == min(rows)


@given(
    market.bars(),
    st.booleans(),
    st.floats(1.0, 12.0),
    st.floats(1.0, 2.0),
    st.sampled_from((1.0, 700.0, 1500.0)),
)
def test_patterns(bars: list[Any], strict: bool, leg: float, wider: float, vol_ref: float) -> None:
    agree("pattern_hits", one_session(bars), strict, leg, leg * wider, vol_ref)


HITS = st.lists(st.tuples(st.sampled_from((-1, 1)), st.floats(0.1, 1.0)), max_size=3)
BN_OVERRIDES = st.sampled_from(
    [
        {},
        {"bn.absolute_refs": True},
        {"bn.base_min_quality": 0.2, "bn.base_std_ratio": 0.5},
        {"bn.window": 1, "bn.base_max_bars": 4, "bn.base_expiry_bars": 3},
        {"bn.score_threshold": 0.1, "bn.violation_bars": 2, "bn.aggr_hi": 0.5},
    ]
)


@given(
    market.bars(max_length=40),
    BN_OVERRIDES,
    st.floats(1.0, 14.0),
    st.sampled_from((300.0, 1500.0)),
    st.dictionaries(st.integers(0, 90), HITS, max_size=40),
)
def test_battle_navale(
    bars: list[Any], params: dict[str, Any], atr: float, vol_ref: float, hits: dict[int, Any]
) -> None:
    given_ = one_session(bars)
    known = {index: found for index, found in hits.items() if index < len(given_)}
    agree("battle_navale", params, given_, atr, vol_ref, known)


@given(market.bars(max_length=40), BN_OVERRIDES)
def test_battle_navale_reports_the_same_record(bars: list[Any], params: dict[str, Any]) -> None:
    rows = one_session(bars)
    n = len(rows)
    atr = [1.0 + 10.0 * ((7 * k) % 11) / 11 for k in range(n)]
    refs = [200.0 + (131 * k) % 1900 for k in range(n)]
    twin = BattleNavale(parameters(params))
    out = battle_navale.BattleNavale(split_params(params)[0]).bars(bar_records(rows), atr, refs)
    for k, row in enumerate(rows):
        bar = twin_bars.Bar(0, *row, flags=twin_bars.READY_MADE)
        b = twin.update(bar, atr[k], refs[k], ())
        same = {name: value for name, value in vars(b).items() if name in out.dtype.names}
        assert_same(same, {name: out[k][name].item() for name in same})


EASY_REGIME = {"reg.strong": 0.4, "reg.strong_counts": 2, "reg.intact": 1, "reg.weak": 0.3}
EASY_REGIME |= {"reg.weak_counts": 1, "reg.respect": 0.5, "reg.min_tests": 2}
REG_OVERRIDES = st.sampled_from(
    [{}, EASY_REGIME, {"reg.hold_bars": 2} | EASY_REGIME, {"reg.hold_bars": 5, "reg.bars": 12}]
)


@given(market.bars(max_length=60), REG_OVERRIDES, st.integers(0, 2**16))
def test_regime(bars: list[Any], params: dict[str, Any], seed: int) -> None:
    rows = one_session(bars)
    rng = np.random.default_rng(seed)
    atr = rng.uniform(1.0, 9.0, len(rows)).tolist()
    vslope = (rng.uniform(-0.2, 0.2, len(rows)) * rng.choice([1, 4])).tolist()
    record = split_params(params)[0]
    found = regime.RegimeClassifier(record).bars(bar_records(rows), atr, vslope)
    twin, seen = MarketRegime(parameters(params)), []
    for k, row in enumerate(rows):
        seen.append(twin_bars.Bar(0, *row, flags=twin_bars.READY_MADE))
        expected = vars(twin.update(seen, atr[k], vslope[k]))
        assert_same(expected, {name: found[k][name].item() for name in expected})
