"""Confluence, evidence and setups against the plain twin of the whole method."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from fast.closes import MINUTE, make_options, setups_of
from numpy.typing import NDArray
from reference import confluence as twin_levels
from reference.conventions import Sessions
from reference.engine import ReferenceEngine

from mia._fast import confluence, evidence, records, setups
from mia.core.base_types import SetupKind
from mia.core.kernel_params import kernel_params

OPENS = [Sessions(None).of(1_762_900_000_000_000_000 + day * 86_400 * 10**9) for day in (0, 1)]
# Regimes that any market shows, and patterns that trade from middling strengths.
EASY: dict[str, float] = {
    "reg_strong": 0.4,
    "reg_strong_counts": 2,
    "reg_slope_strong": 0.0,
    "reg_intact": 1,
    "reg_weak": 0.3,
    "reg_weak_counts": 1,
    "reg_slope_weak": 0.0,
    "reg_respect": 0.5,
    "reg_min_tests": 2,
    "reg_hold_bars": 2,
    "es_pattern_min_strength_P5": 0.5,
    "es_pattern_p2_slope": 0.3,
    "es_pattern_p4_conf": 0.3,
    "es_pattern_repeat_min": 5,
    "bn_score_threshold": 0.2,
    "range_confirm_bn": 0.2,
    "trend_leg_bars": 15,
    "trend_leg_atr": 1.0,
}

Closes = tuple[list[dict[str, Any]], NDArray[np.void]]


def market(seed: int) -> Iterator[tuple[int, ...]]:
    """Minute bars of two sessions around the open: trends, ranges and quiet bars."""
    rng = np.random.default_rng(seed)
    price = 16000
    for session, minutes in zip(OPENS, (range(-30, 100), range(-60, 150)), strict=True):
        drift, anchor = 0, price
        for minute in minutes:
            if minute % 20 == 0:
                drift, anchor = int(rng.integers(-2, 3)), price
            pull = (anchor - price) // 3 if drift == 0 else drift
            opened = price
            price = opened + int(rng.integers(-5, 6)) + pull
            high = max(opened, price) + int(rng.integers(0, 4))
            low = min(opened, price) - int(rng.integers(0, 4))
            volume = int(rng.integers(200, 3000))
            ask = int(volume * rng.uniform(0.3, 0.7))
            t_open = session.t_rth_open + minute * MINUTE
            yield (t_open, t_open + MINUTE, opened, high, low, price, volume, volume - ask, ask)


def options_around(close: int, minute: int, t: int) -> dict[str, Any]:
    """A snapshot every half hour, whose levels step with the market in between."""
    step = 0.25 * (minute // 7)
    return {
        "feature": (0.7, 0.1, 0.0, 0.0, 0.0, 0.0),
        "valid": (1, 1, 0, 0, 0, 0),
        "gamma_flip": close + step - 1.5,
        "call_wall": close + 12.0 + step,
        "put_wall": close - 9.5 - step,
        "quality": 0.9,
        "ts_quotes": t,
    }


def evaluate(seed: int, overrides: dict[str, float], monkeypatch: pytest.MonkeyPatch) -> Closes:
    """Rows of the twin, and rows of the kernels fed with what the twin knows at each close."""
    nodes: list[list[float]] = []
    zones: list[list[twin_levels.Zone]] = []
    plain_levels, plain_zones = twin_levels.levels, twin_levels.zones

    def record_nodes(sources: twin_levels.LevelSources) -> list[twin_levels.Level]:
        nodes.append(sorted(sources.nodes))
        return plain_levels(sources)

    def record_zones(*args: Any) -> list[twin_levels.Zone]:
        zones.append(plain_zones(*args))
        return zones[-1]

    monkeypatch.setattr(twin_levels, "levels", record_nodes)
    monkeypatch.setattr(twin_levels, "zones", record_zones)
    engine = ReferenceEngine(overrides)
    table = list(market(seed))
    options = make_options(len(table))
    snapshot = (table[0][5], table[0][1])
    for i, bar in enumerate(table):
        if i % 30 == 0:
            snapshot = (bar[5], bar[1])
        known = options_around(snapshot[0], i % 30, snapshot[1])
        engine.set_options(**known)
        for name, value in known.items():
            options[name][i] = value
        engine.on_bar(*bar)
    rows = np.zeros(len(table), records.ROW_DTYPE)
    for row, known_row in zip(rows, engine.rows, strict=True):
        fill(row, known_row)
    params = kernel_params(**overrides)
    bars = np.ascontiguousarray(rows["bar"])
    first = np.r_[0, np.cumsum([len(own) for own in nodes])]
    own_zones, first_zone = confluence.Confluence(params).run(
        bars, rows, options, np.array([node for own in nodes for node in own], float), first
    )
    books = {"spread_z": np.full(len(bars), np.nan), "book_imbalance": np.full(len(bars), np.nan)}
    evidence.Evidence(params).run(bars, rows, options, own_zones, first_zone, **books)
    setups.Setups(params).run(bars, rows, options)
    compare_zones(own_zones, first_zone, zones)
    return engine.rows, rows


def fill(row: np.void, known: dict[str, Any]) -> None:
    """Copy what precedes confluence into a record."""
    written = {"price_score", "headfake", "headfake_score", "micro_anomaly", "gamma_pin", "reason"}
    for key, value in known.items():
        outer, _, inner = key.partition(".")
        if key in written or outer == "setups" or outer not in row.dtype.names:
            continue
        if inner:
            if inner in row[outer].dtype.names:
                row[outer][inner] = value
        else:
            row[outer] = value
    session = Sessions(None).of(known["bar.t_open"])
    row["t_rth_open"] = session.t_rth_open
    row["n_setups"] = 0


def compare_zones(
    own: NDArray[np.void], first: NDArray[np.int64], twin: list[list[twin_levels.Zone]]
) -> None:
    flat = [zone for close in twin for zone in close]
    assert np.diff(first).tolist() == [len(close) for close in twin]
    for name in ("low", "high", "centre", "score", "kinds"):
        np.testing.assert_allclose(own[name], [getattr(zone, name) for zone in flat], rtol=1e-12)
    assert own["counted"].tolist() == [zone.count for zone in flat]


@pytest.fixture(scope="module")
def markets() -> list[Closes]:
    """Four markets evaluated twice; the first with the defaults."""
    with pytest.MonkeyPatch.context() as patch:
        found = [evaluate(0, {}, patch)]
    for seed in (1, 2, 3):
        with pytest.MonkeyPatch.context() as patch:
            found.append(evaluate(seed, EASY, patch))
    return found


@pytest.mark.parametrize("k", range(4))
def test_every_close_agrees_with_the_twin(markets: list[Closes], k: int) -> None:
    twin, rows = markets[k]
    for name in ("headfake", "reason", "n_setups"):
        assert rows[name].tolist() == [row[name] for row in twin], name
    for name in ("price_score", "headfake_score", "micro_anomaly", "gamma_pin"):
        np.testing.assert_allclose(rows[name], [row[name] for row in twin], atol=1e-9, rtol=0)
    for row, known in zip(rows, twin, strict=True):
        expected = sorted(known["setups"], key=lambda setup: setup[:2])
        np.testing.assert_allclose(setups_of(row), expected, rtol=0, atol=1e-9)


def test_the_markets_compared_trigger_every_setup(markets: list[Closes]) -> None:
    assert {setup[0] for twin, _ in markets for row in twin for setup in row["setups"]} == set(
        SetupKind
    )
