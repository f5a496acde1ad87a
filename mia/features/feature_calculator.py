"""Rows of the kernels as named columns, one row per closed primary bar."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mia.core.base_types import FEATURE_NAMES, BarPattern, BattleStatus, GoldenState, Phase, Regime

Columns = dict[str, NDArray[Any]]


def _names(kind: Any, codes: NDArray[np.int64]) -> NDArray[Any]:
    return np.array([member.name for member in kind], dtype=object)[codes]


def feature_columns(rows: NDArray[np.void]) -> Columns:
    """Lay out everything that the method computed at each close.

    Parameters
    ----------
    rows : ndarray of records.ROW_DTYPE, shape (n,)

    Returns
    -------
    dict of str to ndarray, each of shape (n,)
        ``ts`` is the close in ns UTC; prices are ticks (float where the method's are), volumes
        contracts, enumerations names. ``poc``, ``vah`` and ``val`` are those of the Globex
        profile. Levels of the options are nan, and their quality 0, without usable chains.
        ``base_high`` and ``base_low`` are nan without an active base or a candidate,
        VWAP is nan before its first bar. A feature that is not valid has its neutral value.
    """
    bar = rows["bar"]
    battle = rows["battle"]
    regime = rows["regime"]
    active = battle["active_dir"] != 0
    based = active | (battle["has_candidate"] != 0)
    columns: Columns = {"ts": bar["t_close"]}
    for name in ("open", "high", "low", "close", "volume", "bid_volume", "ask_volume"):
        columns[name] = bar[name]
    columns |= {
        "cvd": rows["cvd"],
        "vwap": rows["vwap"],
        "vwap_sd": rows["vwap_sd"],
        "poc": rows["poc"],
        "vah": rows["vah"],
        "val": rows["val"],
        "vikings": battle["vikings"],
        "defenders": battle["defenders"],
        "base_high": np.where(
            based, np.where(active, battle["active_high"], battle["candidate_high"]), np.nan
        ),
        "base_low": np.where(
            based, np.where(active, battle["active_low"], battle["candidate_low"]), np.nan
        ),
        "base_quality": battle["base_quality"],
        "base_dir": battle["base_dir"],
        "golden_rule": battle["golden"],
        "bn_score": battle["score"],
        "bn_status": _names(BattleStatus, battle["status"]),
        "bn_confidence": battle["confidence"],
    }
    for pattern in BarPattern:
        columns[pattern.name.lower()] = rows["pattern"][:, pattern]
    for k, name in enumerate(FEATURE_NAMES):
        columns[name] = rows["feature"][:, k]
    for k, name in enumerate(FEATURE_NAMES):
        columns[f"{name}_valid"] = rows["valid"][:, k] != 0
    columns |= {
        "regime": _names(Regime, regime["regime"]),
        "regime_confidence": regime["confidence"],
        "confluence": rows["price_score"],
        "session_phase": _names(Phase, rows["phase"]),
        "session_id": bar["session_id"],
        "golden_rule_state": _names(GoldenState, battle["state"]),
        "bn_signal": battle["signal"],
        "regime_raw": _names(Regime, regime["raw"]),
        "atr": rows["atr"],
        "mtf": rows["mtf"],
        "mtf_valid": rows["mtf_valid"] != 0,
        "feature_quality": rows["feature_quality"],
        "feature_score": rows["feature_score"],
        "options_quality": rows["options_quality"],
        "gamma_flip": rows["gamma_flip"],
        "call_wall": rows["call_wall"],
        "put_wall": rows["put_wall"],
        "gamma_pin": rows["gamma_pin"],
    }
    return columns
