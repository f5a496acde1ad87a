"""Every limit in force: what set it, and how much of it is used.

The trader itself leaves its limits in the state directory when it starts, so the page shows what
is obeyed and not what some profile says now. How much is used comes from its newest frame while it
lives, otherwise from the journal; the page is told which.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from mia.config.instruments import INSTRUMENTS
from mia.data.state_files import LIMITS

NEW_YORK = ZoneInfo("America/New_York")

MICRO_PER_ES = 10
"""MES that count as one ES."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """How a limit is shown.

    Attributes
    ----------
    unit : str
        ``USD``, ``%`` of a fraction, ``contracts``, ``trades``, ``clock`` or ``score``.
    side : str
        ``most``: use must stay below; ``least``: a proposal must reach it; ``hours``; ``factor``.
    """

    label: str
    unit: str
    side: str


KINDS: Mapping[str, _Kind] = {
    "daily_loss_usd": _Kind("Loss of the day", "USD", "most"),
    "daily_target_usd": _Kind("Profit of the day", "USD", "most"),
    "max_drawdown": _Kind("Fall from the equity high", "%", "most"),
    "trades_per_day": _Kind("Trades of the day", "trades", "most"),
    "max_size": _Kind("Position", "ES", "most"),
    "per_trade_usd": _Kind("Risk of one trade", "USD", "most"),
    "per_trade_pct": _Kind("Risk of one trade, of equity", "%", "most"),
    "vix_ceiling": _Kind("VIX for entries", "points", "most"),
    "bn_score_threshold": _Kind("Battle Navale score", "score", "least"),
    "min_confluence": _Kind("Confluence of a proposal", "score", "least"),
    "min_confidence": _Kind("Confidence of a proposal", "score", "least"),
    "start_minute": _Kind("Entries from", "clock", "hours"),
    "half_after_minute": _Kind("Half size from", "clock", "hours"),
    "end_minute": _Kind("Entries until", "clock", "hours"),
    "kelly_fraction": _Kind("Share of the Kelly fraction", "%", "factor"),
}


def risk_limits(
    state_dir: Path, frame: Mapping[str, Any] | None, day: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the limits as rows.

    Parameters
    ----------
    state_dir : Path
    frame : mapping or None
        The newest frame of a trader that lives.
    day : mapping
        The journal's account of its newest day, empty without one.

    Returns
    -------
    dict
        ``mode``, ``level``, ``configuration``, ``started``, ``since`` (``frame``, ``journal`` or
        empty: where the use comes from), ``rows`` with ``value``, ``source``, ``used`` and
        ``share`` (of the limit), and ``fault``; ``rows`` is empty before any run.
    """
    empty: dict[str, Any] = {
        "mode": "",
        "level": "",
        "configuration": "",
        "started": None,
        "rows": [],
    }
    since = "frame" if frame is not None else "journal" if day else ""
    empty |= {"since": since, "fault": ""}
    try:
        record = json.loads((state_dir / LIMITS).read_text(encoding="utf-8"))
        rows = _rows(record["limits"], frame, day)
        facts = {name: record[name] for name in ("mode", "level", "configuration", "started")}
    except FileNotFoundError:
        return empty
    except (OSError, ValueError, KeyError, TypeError) as error:
        return empty | {"fault": f"{LIMITS} cannot be read ({error!r}): start the trader again"}
    return empty | facts | {"rows": rows}


def _rows(
    limits: Mapping[str, Any], frame: Mapping[str, Any] | None, day: Mapping[str, Any]
) -> list[dict[str, Any]]:
    used = _used_by_frame(frame, day) if frame is not None else _used_by_journal(day)
    rows = []
    for name, kind in KINDS.items():
        if name not in limits:
            continue
        value, source = limits[name]["value"], limits[name]["source"]
        now = used.get(name)
        share = None
        if kind.side == "most" and value and now is not None:
            share = max(0.0, now / value)
        rows.append(
            {
                "name": name,
                "label": kind.label,
                "unit": kind.unit,
                "side": kind.side,
                "value": value,
                "source": source,
                "used": now,
                "share": share,
            }
        )
    return rows


def _used_by_journal(day: Mapping[str, Any]) -> dict[str, float]:
    if not day:
        return {}
    return {
        "daily_loss_usd": max(0.0, -day["day_pnl"]),
        "daily_target_usd": max(0.0, day["day_high"]),
        "trades_per_day": day["day_trades"],
        "max_drawdown": _fall(day["equity"], day["equity_high"]),
    }


def _used_by_frame(frame: Mapping[str, Any], day: Mapping[str, Any]) -> dict[str, float]:
    account, battle, signal = frame["day"], frame["battle"], frame["signal"]
    used = {
        # What the limit is held against: every stop hit now.
        "daily_loss_usd": max(0.0, -account["worst_pnl"]),
        "trades_per_day": account["trades"],
        "max_drawdown": _fall(account["equity"], account["equity_high"]),
        "bn_score_threshold": abs(battle["score"]),
    }
    best = account["realized_pnl"]
    if day and day["session_id"] == account["session_id"]:
        # The target is held against the day's high, which a frame does not have.
        best = max(best, day["day_high"])
    used["daily_target_usd"] = max(0.0, best)
    used |= _of_position(frame["held"], account["equity"])
    if battle["vix"] is not None:
        used["vix_ceiling"] = battle["vix"]
    if signal is not None:
        used["min_confidence"] = signal["confidence"]
        for gate in signal["gates"]:
            if gate["code"] == "CONFLUENCE" and gate["known"]:
                used["min_confluence"] = gate["value"]
    moment = datetime.fromtimestamp(frame["ts"] / 1e9, UTC).astimezone(NEW_YORK)
    minute = moment.hour * 60 + moment.minute
    used |= dict.fromkeys(("start_minute", "half_after_minute", "end_minute"), minute)
    return used


def _of_position(held: Mapping[str, Any] | None, equity: float) -> dict[str, float]:
    """Return the size in ES, and the loss of the open trade if its stop is hit."""
    if held is None or held["symbol"] not in INSTRUMENTS:
        return {"max_size": 0.0, "per_trade_usd": 0.0, "per_trade_pct": 0.0}
    per_es = MICRO_PER_ES if held["symbol"] == "MES" else 1
    used = {"max_size": abs(held["quantity"]) / per_es}
    if held["entry"] is not None and held["stop"] is not None:
        distance = held["side"] * (held["entry"] - held["stop"])
        tick = INSTRUMENTS[held["symbol"]].tick_value
        risk = max(0.0, distance * tick * abs(held["quantity"]))
        used["per_trade_usd"] = risk
        if equity > 0:
            used["per_trade_pct"] = risk / equity
    return used


def _fall(equity: float, high: float) -> float:
    return max(0.0, 1.0 - equity / high) if high > 0 else 0.0
