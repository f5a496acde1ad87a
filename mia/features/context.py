"""From the kernels' row of a close to the context that strategies, gates and exits read."""

from collections.abc import Mapping
from typing import Any

from mia.core.base_types import GoldenState, Phase, Regime, SetupKind, Tier
from mia.core.trading_types import Context, Setup

_PHASES = tuple(Phase)
_REGIMES = tuple(Regime)
_GOLDEN = tuple(GoldenState)
_TIERS = tuple(Tier)
_KINDS = tuple(SetupKind)


def context_of(row: Mapping[str, Any], contract: str, vix: float) -> Context:
    """Build the context of a primary close.

    Parameters
    ----------
    row : mapping
        Fields of the row, as `mia._fast.market_state.MarketState.newest` returns them.
    contract : str
        As in ``ESZ25``.
    vix : float
        Last known VIX, nan if unknown.

    Returns
    -------
    Context
    """
    bar = row["bar"]
    battle = row["battle"]
    regime = row["regime"]
    return Context(
        ts=bar["t_close"],
        t_open=bar["t_open"],
        session_id=bar["session_id"],
        bar_index=row["index"],
        contract=contract,
        open=bar["open"],
        high=bar["high"],
        low=bar["low"],
        close=bar["close"],
        volume=bar["volume"],
        atr=row["atr"],
        atr_ref=row["atr_ref"],
        vr=row["vr"],
        vwap=row["vwap"],
        vwap_sd=row["vwap_sd"],
        phase=_PHASES[row["phase"]],
        rth=bool(row["rth"]),
        t_rth_close=row["t_rth_close"],
        vikings=battle["vikings"],
        defenders=battle["defenders"],
        golden=battle["golden"],
        golden_state=_GOLDEN[battle["state"]],
        score=battle["score"],
        bn_signal=battle["signal"],
        bn_strength=battle["strength"],
        bn_confidence=battle["confidence"],
        base_quality=battle["base_quality"],
        base_dir=battle["base_dir"],
        active_dir=battle["active_dir"],
        active_low=battle["active_low"],
        active_high=battle["active_high"],
        violated=battle["violated"],
        regime=_REGIMES[regime["regime"]],
        regime_raw=_REGIMES[regime["raw"]],
        regime_confidence=regime["confidence"],
        regime_changed_at=regime["changed_at"],
        resistance=regime["resistance"],
        support=regime["support"],
        features=tuple(row["feature"]),
        valid=tuple(map(bool, row["valid"])),
        feature_quality=row["feature_quality"],
        feature_score=row["feature_score"],
        tier=_TIERS[row["tier"]],
        price_score=row["price_score"],
        mtf=row["mtf"],
        mtf_valid=bool(row["mtf_valid"]),
        micro_anomaly=row["micro_anomaly"],
        gamma_pin=row["gamma_pin"],
        spread=row["spread"],
        options_quality=row["options_quality"],
        call_wall=row["call_wall"],
        put_wall=row["put_wall"],
        gamma_flip=row["gamma_flip"],
        vix=vix,
        setups=_setups(row),
    )


def _setups(row: Mapping[str, Any]) -> tuple[Setup, ...]:
    return tuple(
        Setup(
            kind=_KINDS[row["setup_kind"][k]],
            side=row["setup_side"][k],
            quality=row["setup_quality"][k],
            level=row["setup_level"][k],
            stop=row["setup_stop"][k],
            target=row["setup_target"][k],
            traded=bool(row["setup_traded"][k]),
        )
        for k in range(row["n_setups"])
    )
