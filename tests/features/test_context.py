"""The row of the kernels as context and as columns."""

import numpy as np
import pytest

from mia._fast import market_state
from mia.core.base_types import FEATURE_NAMES, Phase, Regime
from mia.core.kernel_params import kernel_params
from mia.core.sessions import phase, session_table
from mia.core.trading_types import Context
from mia.data.tape import synthetic_tape
from mia.features.context import context_of
from mia.features.feature_calculator import feature_columns

REPLAY_COLUMNS = [
    "ts",
    "open",
    "high",
    "low",
    "close",
    "volume",
    "bid_volume",
    "ask_volume",
    "cvd",
    "vwap",
    "vwap_sd",
    "poc",
    "vah",
    "val",
    "vikings",
    "defenders",
    "base_high",
    "base_low",
    "base_quality",
    "base_dir",
    "golden_rule",
    "bn_score",
    "bn_status",
    "bn_confidence",
    "ldu",
    "lud",
    "cds",
    "cus",
]
LAST_COLUMNS = ["regime", "regime_confidence", "confluence", "session_phase"]


@pytest.fixture(scope="module")
def state() -> market_state.MarketState:
    tape = synthetic_tape(2, 20250310, 1, 15_000)
    state = market_state.MarketState(kernel_params(), session_table(20250310, 20250311))
    state.wake = 0
    state.record = True
    for block in tape.blocks():
        state.advance(block.ts_event, block.price, block.size, block.aggressor_side)
    return state


@pytest.fixture(scope="module")
def rows(state: market_state.MarketState) -> np.ndarray:
    return state.take_rows()


def test_columns_of_a_replay_come_in_the_documented_order(rows: np.ndarray) -> None:
    names = list(feature_columns(rows))
    valid = [f"{name}_valid" for name in FEATURE_NAMES]
    documented = [*REPLAY_COLUMNS, *FEATURE_NAMES, *valid, *LAST_COLUMNS]
    assert names[: len(documented)] == documented


def test_columns_are_as_long_as_the_rows_and_bars_are_consistent(rows: np.ndarray) -> None:
    columns = feature_columns(rows)
    assert {len(values) for values in columns.values()} == {len(rows)}
    assert np.all(columns["low"] <= np.minimum(columns["open"], columns["close"]))
    assert np.all(columns["high"] >= np.maximum(columns["open"], columns["close"]))
    assert np.all(np.diff(columns["ts"]) > 0)
    assert set(columns["session_phase"]) <= {member.name for member in Phase}
    assert set(columns["regime"]) <= {member.name for member in Regime}


def test_features_keep_their_ranges_and_invalid_ones_are_neutral(rows: np.ndarray) -> None:
    columns = feature_columns(rows)
    for name in FEATURE_NAMES:
        values, valid = columns[name], columns[f"{name}_valid"]
        assert np.all(np.abs(values) <= 1.0), name
        neutral = 0.5 if name == "volume_confirmation" else 0.0
        assert np.all(values[~valid] == neutral), name


def test_a_base_has_edges_exactly_where_one_is_active_or_forming(rows: np.ndarray) -> None:
    columns = feature_columns(rows)
    battle = rows["battle"]
    based = (battle["active_dir"] != 0) | (battle["has_candidate"] != 0)
    assert based.any()
    assert (~based).any()
    assert np.array_equal(np.isnan(columns["base_high"]), ~based)
    assert np.all(columns["base_low"][based] <= columns["base_high"][based])


def test_context_says_what_the_newest_row_says(
    state: market_state.MarketState, rows: np.ndarray
) -> None:
    fields = state.newest
    assert fields is not None
    context = context_of(fields, "ESM25", 17.5)
    row = rows[-1]
    assert isinstance(context, Context)
    assert context.ts == row["bar"]["t_close"]
    assert (context.open, context.high, context.low, context.close) == tuple(
        row["bar"][name] for name in ("open", "high", "low", "close")
    )
    assert context.features == tuple(row["feature"])
    assert context.score == row["battle"]["score"]
    assert context.regime is Regime(row["regime"]["regime"])
    assert context.phase is phase(int(row["bar"]["t_close"]))
    assert context.contract == "ESM25"
    assert context.vix == 17.5
    assert len(context.setups) == row["n_setups"]


def test_context_fields_are_those_of_the_row_by_name(
    state: market_state.MarketState, rows: np.ndarray
) -> None:
    fields = state.newest
    assert fields is not None
    context = context_of(fields, "ESM25", 17.5)
    row = rows[-1]
    names = (
        "atr atr_ref vr vwap vwap_sd t_rth_close feature_quality feature_score price_score mtf "
        "micro_anomaly gamma_pin spread options_quality call_wall put_wall gamma_flip"
    )
    for name in names.split():
        assert np.array_equal(getattr(context, name), row[name], equal_nan=True), name
    battle = "vikings defenders golden base_quality base_dir active_dir active_low active_high"
    for name in (*battle.split(), "violated"):
        assert getattr(context, name) == row["battle"][name], name
    for name in ("resistance", "support"):
        assert np.array_equal(getattr(context, name), row["regime"][name], equal_nan=True), name
    assert context.regime_confidence == row["regime"]["confidence"]
    assert context.bn_confidence == row["battle"]["confidence"]


def test_columns_are_the_fields_of_the_rows_by_name(rows: np.ndarray) -> None:
    columns = feature_columns(rows)
    for name in ("cvd", "vwap", "vwap_sd", "poc", "vah", "val", "atr", "mtf", "feature_score"):
        assert np.array_equal(columns[name], rows[name], equal_nan=True), name
    for name in ("open", "high", "low", "close", "volume", "bid_volume", "ask_volume"):
        assert np.array_equal(columns[name], rows["bar"][name]), name
    for name in ("vikings", "defenders", "base_quality", "base_dir"):
        assert np.array_equal(columns[name], rows["battle"][name]), name
    assert np.array_equal(columns["golden_rule"], rows["battle"]["golden"])
    assert np.array_equal(columns["confluence"], rows["price_score"])
    assert np.any(columns["vah"] != columns["val"])
