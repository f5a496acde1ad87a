"""Worked examples of the method, through every implementation."""

import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from adapters import Adapter, BarRow
from comparison import assert_same
from compiled_adapter import CompiledAdapter
from reference_adapter import ReferenceAdapter

from mia.core.base_types import BarPattern, BattleStatus, GoldenState, Regime

HERE = Path(__file__).parent / "vectors"
DIRECTION = {BarPattern.LDU: 1, BarPattern.LUD: -1, BarPattern.CDS: -1, BarPattern.CUS: 1}
IMPLEMENTATIONS = {"reference": ReferenceAdapter, "compiled": CompiledAdapter}


@pytest.fixture(params=IMPLEMENTATIONS)
def impl(request: pytest.FixtureRequest) -> Adapter:
    return IMPLEMENTATIONS[request.param]()


def read(path: Path) -> list[dict[str, Any]]:
    return json.loads(path.read_text())["cases"]


def cases(name: str, *needs: str) -> Any:
    """Parametrize over the cases of a file that have all of these inputs."""
    chosen = [case for case in read(HERE / name) if all(key in case["inputs"] for key in needs)]
    assert chosen
    return pytest.mark.parametrize("case", chosen, ids=[case["name"] for case in chosen])


def real_case(file: str, name: str | None = None) -> dict[str, Any]:
    folder = os.environ.get("MIA_VECTORS")
    if folder is None:
        pytest.skip("MIA_VECTORS names no folder with vectors of real data")
    found = read(Path(folder) / file)
    return found[0] if name is None else next(case for case in found if case["name"] == name)


def bar_rows(inputs: Mapping[str, Any]) -> list[BarRow]:
    """Read bars whose columns may lack times or flow."""
    names = {"o": "open", "h": "high", "l": "low", "c": "close", "v": "volume"}
    names |= {"bid_v": "bid_volume", "ask_v": "ask_volume"}
    columns = [names.get(column, column) for column in inputs["columns"]]
    missing = dict.fromkeys(BarRow._fields, 0)
    return [BarRow(**missing | dict(zip(columns, row, strict=True))) for row in inputs["bars"]]


def as_tuples(rows: Sequence[Sequence[Any]]) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in rows]


@cases("00_conventions.json", "ts")
def test_sessions_and_phases_follow_new_york(impl: Adapter, case: dict[str, Any]) -> None:
    assert_same(case["expected"], impl.clock(case["inputs"]["ts"]))


@cases("00_conventions.json", "x", "q")
def test_ranks_take_an_element_of_the_sample(impl: Adapter, case: dict[str, Any]) -> None:
    assert_same(case["expected"], impl.ranks(case["inputs"]["x"], case["inputs"]["q"]))


@cases("01_bar_builders.json", "trades")
def test_builders_close_the_bars_of_the_method(impl: Adapter, case: dict[str, Any]) -> None:
    trades = as_tuples(case["inputs"]["trades"])
    bars, rejected = impl.build_bars(case["builder"], case["arg"], case["params"], trades)
    assert_same(case["expected"], {"bars": bars, "rejected": rejected})


@cases("02_vwap.json", "trades")
def test_vwap_follows_trades(impl: Adapter, case: dict[str, Any]) -> None:
    assert_same(case["expected"], impl.vwap_of_trades(as_tuples(case["inputs"]["trades"])))


@cases("02_vwap.json", "bars")
def test_vwap_follows_ready_made_bars(impl: Adapter, case: dict[str, Any]) -> None:
    assert_same(case["expected"], impl.vwap_of_bars(bar_rows(case["inputs"])))


@cases("03_profile.json", "trades")
def test_profile_of_trades(impl: Adapter, case: dict[str, Any]) -> None:
    assert_same(case["expected"], impl.profile_of_trades(as_tuples(case["inputs"]["trades"])))


@cases("03_profile.json", "bars_low_high_volume")
def test_profile_spreads_a_bar_over_its_range(impl: Adapter, case: dict[str, Any]) -> None:
    bars = as_tuples(case["inputs"]["bars_low_high_volume"])
    assert_same(case["expected"], impl.profile_of_bars(bars))


@cases("04_patterns.json", "bars")
def test_patterns_are_known_at_the_close_after_their_pivot(
    impl: Adapter, case: dict[str, Any]
) -> None:
    given = case["inputs"]
    hits = impl.pattern_hits(
        bar_rows(given), given["strict"], given["leg"], given["leg_color"], given["vol_ref"]
    )
    assert_same(case["expected"], {"hits_at_close": hits})


@cases("05_battle_navale.json", "bars")
def test_battle_navale(impl: Adapter, case: dict[str, Any]) -> None:
    given = case["inputs"]
    hits = {
        int(index): as_tuples(found)
        for index, found in given["patterns_dir_strength_by_index"].items()
    }
    bars = bar_rows(given)
    out = impl.battle_navale(case["params"], bars, given["atr"], given["vol_ref"], hits)
    assert_same(case["expected"], out)


def engine_columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Name the engine's rows as the vectors do."""

    def number(value: float) -> float | None:
        return None if math.isnan(value) else value

    def active(row: Mapping[str, Any]) -> list[int] | None:
        if not row["battle.active_dir"]:
            return None
        names = ("low", "high", "bars", "dir", "launch")
        return [row[f"battle.active_{name}"] for name in names]

    def candidate(row: Mapping[str, Any]) -> list[int] | None:
        if not row["battle.has_candidate"]:
            return None
        return [row[f"battle.candidate_{name}"] for name in ("low", "high", "bars", "dir")]

    def patterns(row: Mapping[str, Any]) -> list[tuple[str, int, float]]:
        hits = (kind for kind in BarPattern if row["pattern_hit"][kind])
        return [(kind.name, DIRECTION[kind], row["pattern"][kind]) for kind in hits]

    same = ("atr", "vol_ref", "vr", "cvd", "vwap", "vslope", "poc", "val", "vah")
    columns = {name: [row[name] for row in rows] for name in same}
    columns |= {
        "i": [row["index"] for row in rows],
        "sd": [row["vwap_sd"] for row in rows],
        "vwap_rth": [number(row["vwap_rth"]) for row in rows],
        "sd_rth": [number(row["vwap_rth_sd"]) for row in rows],
        "patterns": [patterns(row) for row in rows],
        "bn_V": [row["battle.vikings"] for row in rows],
        "bn_D": [row["battle.defenders"] for row in rows],
        "bn_G": [row["battle.golden"] for row in rows],
        "bn_state": [GoldenState(row["battle.state"]).name for row in rows],
        "bn_q": [row["battle.base_quality"] for row in rows],
        "bn_dir": [row["battle.base_dir"] for row in rows],
        "bn_S": [row["battle.score"] for row in rows],
        "bn_status": [BattleStatus(row["battle.status"]).name for row in rows],
        "bn_active": [active(row) for row in rows],
        "bn_cand": [candidate(row) for row in rows],
        "reg_raw": [Regime(row["regime.raw"]).name for row in rows],
        "reg_regime": [Regime(row["regime.regime"]).name for row in rows],
        "reg_confidence": [row["regime.confidence"] for row in rows],
        "invalid": [[f"F{k + 1}" for k in range(18) if not row["valid"][k]] for row in rows],
    }
    for name in ("signal", "strength", "confidence", "launched", "violated"):
        columns[f"bn_{name}"] = [row[f"battle.{name}"] for row in rows]
    for k in range(18):
        columns[f"F{k + 1}"] = [row["feature"][k] for row in rows]
    return columns


def without_sources(expected: Mapping[str, Any], columns: dict[str, Any]) -> dict[str, Any]:
    """Keep, of the invalid features, those that the case speaks of."""
    told = {name for name in expected if name in {f"F{k}" for k in range(1, 19)}}
    columns["invalid"] = [[name for name in row if name in told] for row in columns["invalid"]]
    return columns


@cases("06_features.json", "bars")
def test_engine_on_synthetic_bars(impl: Adapter, case: dict[str, Any]) -> None:
    rows = impl.engine_on_bars(case["params"], bar_rows(case["inputs"]))
    expected = case["expected"]
    assert_same(expected, without_sources(expected, engine_columns(rows)))


@cases("07_flow_features.json", "px_bid_ask")
def test_stacked_imbalance_of_one_bar(impl: Adapter, case: dict[str, Any]) -> None:
    given = case["inputs"]
    value = impl.stacked_imbalance(given["low"], given["high"], as_tuples(given["px_bid_ask"]))
    assert_same(case["expected"], {"value": value})


@cases("08_book.json", "snapshots_bids_asks_spread")
def test_book_imbalance_skips_bad_snapshots(impl: Adapter, case: dict[str, Any]) -> None:
    out = impl.book_imbalance(as_tuples(case["inputs"]["snapshots_bids_asks_spread"]))
    assert_same(case["expected"], {"F6_and_valid_after_each": out})


@cases("09_trade_features.json", "trades")
def test_tick_momentum_and_smart_money(impl: Adapter, case: dict[str, Any]) -> None:
    given = case["inputs"]
    assert_same(case["expected"], impl.trade_features(as_tuples(given["trades"]), given["t_close"]))


@cases("10_regime.json", "bars")
def test_regime(impl: Adapter, case: dict[str, Any]) -> None:
    given = case["inputs"]
    assert_same(case["expected"], impl.regime(bar_rows(given), given["atr"], given["vslope"]))


@cases("11_score_confluence_mtf.json", "F1")
def test_feature_score(impl: Adapter, case: dict[str, Any]) -> None:
    score = impl.feature_score([case["inputs"][f"F{k}"] for k in range(1, 19)])
    assert_same(case["expected"], {"score": score})


@cases("11_score_confluence_mtf.json", "levels")
def test_levels_scores_and_zones(impl: Adapter, case: dict[str, Any]) -> None:
    given = case["inputs"]
    out = impl.confluence(given["close"], given["atr"], as_tuples(given["levels"]))
    assert len(out["zones"]) == len(case["expected"]["zones"])
    assert_same(case["expected"], out)


@cases("11_score_confluence_mtf.json", "frames_minutes_S_confidence")
def test_frames_are_weighted_by_volatility(impl: Adapter, case: dict[str, Any]) -> None:
    given = case["inputs"]
    frames = {int(k): tuple(v) for k, v in given["frames_minutes_S_confidence"].items()}
    mtf, valid = impl.multi_timeframe(given["vol01"], frames)
    assert_same(case["expected"], {"mtf": mtf, "valid": valid})


@cases("12_risk_headfake.json", "inst")
def test_position_size(impl: Adapter, case: dict[str, Any]) -> None:
    assert_same(case["expected"], impl.position_size(case["inputs"]))


@cases("12_risk_headfake.json", "bars")
def test_headfake(impl: Adapter, case: dict[str, Any]) -> None:
    score, kind = impl.headfake(bar_rows(case["inputs"]), case["inputs"]["vr"])
    assert_same(case["expected"], {"score": score, "kind": kind})


def test_engine_on_a_real_session(impl: Adapter) -> None:
    case = real_case("20_real_session_5m.json")
    params = {"stream.primary": "time:300"}
    rows = impl.engine_on_bars(params, bar_rows(case["inputs"]))
    expected = case["expected"]
    columns = engine_columns(rows)
    chosen = {name: [values[i] for i in expected["i"]] for name, values in columns.items()}
    assert_same(expected, without_sources(expected, chosen))


def test_engine_on_real_trades(impl: Adapter) -> None:
    case = real_case("21_real_trades.json", "15 s bars")
    given, expected = case["inputs"], case["expected"]
    trades = [(given["t0"] + ts, *rest) for ts, *rest in given["trades"]]
    rows = impl.engine_on_trades({"stream.primary": f"time:{given['width_s']}"}, trades)
    columns = engine_columns(rows)
    names = ("t_open", "t_close", "open", "high", "low", "close", "volume")
    names += ("bid_volume", "ask_volume", "trades", "pv", "large_volume")
    columns["bars"] = [[row[f"bar.{name}"] for name in names] for row in rows]
    for row in columns["bars"]:
        row[10] -= row[6] * row[2]
    assert_same(expected, without_sources(expected, columns))


@pytest.mark.parametrize("name", ["reversal 4", "volume 500"])
def test_builders_on_real_trades(impl: Adapter, name: str) -> None:
    case = real_case("21_real_trades.json", name)
    trades = as_tuples(case["inputs"]["trades"])
    bars, rejected = impl.build_bars(case["builder"], case["arg"], case["params"], trades)
    assert_same(case["expected"], {"bars": bars, "rejected": rejected})
