"""`MarketState` against the plain twin of the whole method: every field of every row."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import strategies_market as market
import tapes
from comparison import assert_same
from compiled_engine import CompiledEngine, session_rows
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.bars import Bar
from reference.conventions import Sessions
from reference.engine import ReferenceEngine
from reference.resampling import Resampler

from mia.core.base_types import Regime, SetupKind, Tier
from mia.data.synthetic import SyntheticMarket

MANY = int(os.environ.get("MIA_TWIN_EXAMPLES", "100"))
EXAMPLES = pytest.mark.parametrize("examples", [12, pytest.param(MANY, marks=pytest.mark.slow)])
PRIMARIES = ("time:60", "time:15", "reversal:4", "tick:9", "volume:90", "range:6")
MICROS = st.sampled_from(("reversal:4", "reversal:4", "time:15", "tick:5", "range:3"))
PARAMS = st.sampled_from(
    [
        {},
        tapes.EASY,
        tapes.EASY,
        {"vwap.anchor": "rth", "bn.absolute_refs": True} | tapes.EASY,
        {"flow.side_fallback": "none", "vwap.slope_bars": 3, "mtf.frame_0": 2} | tapes.EASY,
    ]
)


MIDDLING: dict[str, Any] = {
    "feat.tier_min": 60,
    "reg.respect": 0.6,
    "reg.min_tests": 2,
    "bn.score_threshold": 0.25,
    "sources.book": True,
}


def assert_rows(expected: Sequence[Mapping[str, Any]], found: Sequence[Mapping[str, Any]]) -> None:
    assert len(found) == len(expected)
    for k, (row, other) in enumerate(zip(expected, found, strict=True)):
        assert row.keys() == other.keys()
        assert_same({k: row}, {k: other})


def agree_on_trades(params: Mapping[str, Any], tape: Sequence[tapes.Event]) -> list[dict[str, Any]]:
    """Play a tape on both and return the rows of the twin."""
    twin = ReferenceEngine(params)
    kernel = CompiledEngine(params, session_rows(tapes.instants(tape)), ring=32)
    tapes.play_on_twin(twin, tape)
    tapes.play_in_batches(kernel, tape)
    assert_rows(twin.rows, kernel.rows)
    assert kernel.rejected == twin.rejected
    return twin.rows


@EXAMPLES
@pytest.mark.parametrize("primary", PRIMARIES)
def test_rows_of_trades(primary: str, examples: int) -> None:
    @settings(max_examples=examples)
    @given(PARAMS, MICROS, tapes.tapes())
    def agree(params: dict[str, Any], micro: str, tape: list[tapes.Event]) -> None:
        agree_on_trades(params | {"stream.primary": primary, "stream.micro": micro}, tape)

    agree()


@pytest.mark.parametrize("seed", range(8))
def test_rows_of_long_tapes(seed: int) -> None:
    _check_long_tape(seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 110))
def test_rows_of_many_long_tapes(seed: int) -> None:
    for k in range(40):
        _check_long_tape(1000 * seed + k)


def _check_long_tape(seed: int) -> None:
    params = {
        "stream.primary": PRIMARIES[seed % len(PRIMARIES)],
        "stream.micro": ("reversal:4", "time:15", "tick:5")[seed // 2 % 3],
    }
    agree_on_trades((tapes.EASY if seed % 4 else {}) | params, tapes.long_tape(seed))


@EXAMPLES
@pytest.mark.parametrize("primary", PRIMARIES)
def test_rows_of_trades_with_holes(primary: str, examples: int) -> None:
    @settings(max_examples=examples)
    @given(PARAMS, MICROS, tapes.tapes(gaps=True))
    def agree(params: dict[str, Any], micro: str, tape: list[tapes.Event]) -> None:
        agree_on_trades(params | {"stream.primary": primary, "stream.micro": micro}, tape)

    agree()


def test_rows_of_synthetic_sessions_with_holes() -> None:
    trades = synthetic_tape(7, 3, 1200)
    tape = tapes.mixed(trades, 7, 0.0)
    for k in (len(tape) // 3, 4 * len(tape) // 5):
        since = tape[k][1]
        tape.insert(k + 1, ("gap", since, since + 600 * 10**9))
    rows = agree_on_trades(MIDDLING, tape)
    assert {row["valid"][15] for row in rows} == {0, 1}
    assert {row["profile_valid"] for row in rows} == {0, 1}


def wider(bars: Sequence[market.Bar], width_s: int) -> list[tuple[int, ...]]:
    """Resample bars plainly; the open group at the end is left out."""
    sessions = Sessions()
    groups, resampler = [], Resampler(width_s, sessions)
    for row in bars:
        bar = Bar(sessions.of(row[0]).session_id, *row, flags=4)
        groups += resampler.before(bar) + resampler.add(bar)
    names = ("t_open", "t_close", "open", "high", "low", "close")
    names += ("volume", "bid_volume", "ask_volume")
    return [tuple(getattr(group, name) for name in names) for group in groups]


@EXAMPLES
@pytest.mark.parametrize("width", [60, 300, 900])
def test_rows_of_ready_made_bars(width: int, examples: int) -> None:
    @settings(max_examples=examples)
    @given(PARAMS, market.bars(max_length=40), st.integers(0, 9), st.randoms(use_true_random=False))
    def agree(params: dict[str, Any], bars: list[market.Bar], roll: int, random: Any) -> None:
        params = params | {"stream.primary": f"time:{width}"}
        twin = ReferenceEngine(params)
        kernel = CompiledEngine(params, session_rows([bar[0] for bar in bars]), ready_made=True)
        values = tapes.some_options(random, bars[0][2], bars[0][0])
        for engine in (twin, kernel):
            engine.set_contract(roll)
            engine.set_options(**values)
        for bar in bars if width == 60 else wider(bars, width):
            twin.on_bar(*bar)
        kernel.on_bars(bars)
        assert_rows(twin.rows, kernel.rows)

    agree()


def synthetic_tape(seed: int, days: int, trades_per_day: int) -> list[tuple[int, int, int, int]]:
    made = SyntheticMarket(seed, 20240304, days, trades_per_day=trades_per_day)
    trades: list[tuple[int, int, int, int]] = []
    for block in made.blocks():
        columns = (block.ts_event, block.price, block.size, block.aggressor_side)
        trades += zip(*(column.tolist() for column in columns), strict=True)
    return trades


def test_rows_of_three_synthetic_sessions() -> None:
    rows = agree_on_trades(MIDDLING, tapes.mixed(synthetic_tape(7, 3, 2500), 7, 0.01))
    # What a short tape does not reach: rings that filled, levels of a session before, tiers.
    assert any(row["vol_ref"] != 1500 for row in rows)
    assert any(row["atr_ref"] > 0 for row in rows)
    assert {row["previous_valid"] for row in rows} == {0, 1}
    assert {row["reason"] for row in rows} == {0, 1, 2}
    assert len({row["tier"] for row in rows}) > len(Tier) - 2
    assert len({row["regime.regime"] for row in rows}) > len(Regime) - 3
    assert len({kind for row in rows for kind, *_ in row["setups"]}) > len(SetupKind) - 3
