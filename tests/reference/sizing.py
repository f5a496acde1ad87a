"""Position size (section 16.1)."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from reference.conventions import clip, floor_tol

TICK_VALUE = {"ES": 12.50, "MES": 1.25}
PER_ES = {"ES": 1, "MES": 10}


def position_size(given: Mapping[str, Any], p: SimpleNamespace) -> dict[str, Any]:
    """Size a trade.

    Parameters
    ----------
    given : mapping
        ``inst``, ``d`` (ticks), ``market_entry``, ``equity``, ``n`` and ``wins`` of the family,
        ``mean_win``, ``mean_loss`` (positive), ``fraction`` of Kelly, ``per_trade`` and
        ``daily_limit`` (USD), ``pct`` of equity, ``day_pnl``, ``open_pnl``, ``max_size`` (ES),
        optionally ``auto`` (try MES; true) and ``mult`` (1).

    Returns
    -------
    dict
        ``p``, ``b``, ``f_star``, ``instrument``, ``contracts``, ``reason``.
    """
    n, wins = given["n"], given["wins"]
    half = p.risk_kelly_prior / 2
    chance = (wins + half) / (n + p.risk_kelly_prior)
    if wins == 0:
        b = 0.0
    elif wins == n:
        b = 2.0
    else:
        b = given["mean_win"] / given["mean_loss"]
    f_star = clip((chance * b - (1 - chance)) / b, 0.0, p.risk_kelly_cap) if b else 0.0
    mature = n >= p.risk_kelly_min_trades
    out = {"p": chance, "b": b, "f_star": f_star, "instrument": given["inst"], "contracts": 0}
    if mature and f_star == 0:
        return out | {"reason": "KELLY_NO_EDGE"}
    symbols = ["ES", "MES"] if given["inst"] == "ES" and given.get("auto", True) else []
    for symbol in symbols or [given["inst"]]:
        contracts = _contracts(symbol, given, f_star if mature else None, p)
        if contracts >= 1:
            return out | {"instrument": symbol, "contracts": contracts, "reason": "OK"}
    return out | {"reason": "SIZE_ZERO"}


def _contracts(
    symbol: str, given: Mapping[str, Any], f_star: float | None, p: SimpleNamespace
) -> int:
    tick = TICK_VALUE[symbol]
    commission = p.cost_es_side if symbol == "ES" else p.cost_mes_side
    slips = 2 if given["market_entry"] else 1
    risk = given["d"] * tick + 2 * commission + slips * p.cost_slip_ticks * tick
    mult = given.get("mult", 1.0)
    allowance = given["daily_limit"] + given["day_pnl"] + min(0.0, given["open_pnl"])
    budget = min(
        given["per_trade"], given["pct"] * given["equity"], p.risk_daily_share * max(0.0, allowance)
    )
    kelly = PER_ES[symbol]
    if f_star is not None:
        kelly = floor_tol(given["fraction"] * f_star * given["equity"] * mult / risk)
    return min(kelly, floor_tol(budget * mult / risk), given["max_size"] * PER_ES[symbol])
