"""Risk limits in force: the strictest of mode, level, and whatever the user asks for.

An upper limit is the minimum of its sources, a required minimum their maximum, hours are
intersected. Each value remembers which source set it, for ``mia config show``.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite
from types import MappingProxyType

from mia.errors import ConfigError


@dataclass(frozen=True, slots=True)
class EffectiveLimits:
    """Limits that gates, sizing and the kill switch obey.

    Attributes
    ----------
    mode, level : str
        Value of a `mia.core.base_types.TradingMode` and of a `RiskLevel`.
    max_size : int
        ES contracts, or ten times as many MES.
    per_trade_usd, per_trade_pct : float
        Risk of one trade in USD and as a fraction of equity; the former is 1R.
    daily_loss_usd, daily_target_usd : float
        Loss and profit of a session that stop trading.
    trades_per_day : int
        Entries filled in one session.
    max_drawdown : float
        Fraction of the equity high.
    bn_score_threshold : float
        Score from which the Battle Navale signals; replaces ``bn.score_threshold``.
    min_confluence, min_confidence : float
        Required of a proposal.
    start_minute, end_minute, half_after_minute : int
        Minutes after midnight, New York: hours of the mode, and when size is halved.
    vix_ceiling : float
        No entries above it; infinite where there is none.
    kelly_fraction : float
        Share of the Kelly fraction that is risked.
    sources : mapping of str to str
        For each of the above the source that set it, as in ``mode paper``.
    """

    mode: str
    level: str
    max_size: int
    per_trade_usd: float
    per_trade_pct: float
    daily_loss_usd: float
    daily_target_usd: float
    trades_per_day: int
    max_drawdown: float
    bn_score_threshold: float
    min_confluence: float
    min_confidence: float
    start_minute: int
    end_minute: int
    half_after_minute: int
    vix_ceiling: float
    kelly_fraction: float
    sources: Mapping[str, str]


def _clock(text: str) -> int:
    hour, minute = text.split(":")
    return int(hour) * 60 + int(minute)


def _mode(values: tuple[float, ...], start: str, end: str, half: str) -> dict[str, float]:
    names = (
        "max_size",
        "per_trade_usd",
        "per_trade_pct",
        "daily_loss_usd",
        "daily_target_usd",
        "trades_per_day",
        "max_drawdown",
        "bn_score_threshold",
        "min_confluence",
        "min_confidence",
        "vix_ceiling",
    )
    hours = {
        "start_minute": _clock(start),
        "end_minute": _clock(end),
        "half_after_minute": _clock(half),
    }
    return dict(zip(names, values, strict=True)) | hours


MODE_LIMITS: Mapping[str, Mapping[str, float]] = {
    "data_collection": _mode(
        (1, 250, 0.005, 1000, 5000, 999, 0.08, 0.25, 0.30, 0.55, inf), "09:31", "15:55", "15:55"
    ),
    "paper": _mode(
        (2, 200, 0.01, 600, 1000, 50, 0.05, 0.35, 0.40, 0.60, 30), "09:35", "15:45", "15:00"
    ),
    "live": _mode(
        (2, 400, 0.0075, 600, 800, 30, 0.03, 0.40, 0.55, 0.65, 25), "09:40", "15:30", "14:30"
    ),
}


def _level(*values: float) -> dict[str, float]:
    names = ("max_size", "per_trade_usd", "daily_loss_usd", "min_confidence", "kelly_fraction")
    return dict(zip(names, values, strict=True))


LEVEL_LIMITS: Mapping[str, Mapping[str, float]] = {
    "conservative": _level(1, 200, 600, 0.60, 0.15),
    "moderate": _level(2, 300, 1000, 0.58, 0.20),
    "aggressive": _level(3, 400, 2000, 0.55, 0.25),
}

REQUIRED_MINIMA = frozenset(
    {"bn_score_threshold", "min_confluence", "min_confidence", "start_minute"}
)
"""Limits that a proposal or the clock must reach: the largest source wins."""

_INTEGERS = {"max_size", "trades_per_day", "start_minute", "end_minute", "half_after_minute"}
_FRACTIONS = {
    "per_trade_pct",
    "max_drawdown",
    "bn_score_threshold",
    "min_confluence",
    "min_confidence",
    "kelly_fraction",
}


def _checked(name: str, value: float, source: str) -> float:
    if name == "vix_ceiling" and value == inf:
        return value
    if not isfinite(value) or value < 0:
        raise ConfigError(f"{name} must be a number of at least 0, {source} gives {value}")
    if name in _INTEGERS and value != int(value):
        raise ConfigError(f"{name} must be a whole number, {source} gives {value}")
    if name in _FRACTIONS and value > 1:
        raise ConfigError(f"{name} is a fraction of at most 1, {source} gives {value}")
    return value


def effective_limits(
    mode: str, level: str, wishes: Sequence[tuple[str, Mapping[str, float]]] = ()
) -> EffectiveLimits:
    """Combine the tables of mode and level with what the user asks for.

    Parameters
    ----------
    mode : str
        ``data_collection``, ``paper`` or ``live``.
    level : str
        ``conservative``, ``moderate`` or ``aggressive``.
    wishes : sequence of (str, mapping)
        Name of a source, as messages give it, and its limits by their names in
        `EffectiveLimits`.

    Returns
    -------
    EffectiveLimits

    Raises
    ------
    ConfigError
        If a value is no limit, a name is unknown, or two limits contradict each other.
    """
    for column, table in ((mode, MODE_LIMITS), (level, LEVEL_LIMITS)):
        if column not in table:
            raise ConfigError(f"unknown {str(column)!r}: choose one of {', '.join(table)}")
    layers: list[tuple[str, str, float]] = []
    layers += [(name, f"mode {mode}", value) for name, value in MODE_LIMITS[mode].items()]
    layers += [(name, f"level {level}", value) for name, value in LEVEL_LIMITS[level].items()]
    known = {name for name, _, _ in layers}
    for source, limits in wishes:
        for name, value in limits.items():
            if name not in known:
                raise ConfigError(f"unknown limit {name!r} in {source}: choose {sorted(known)}")
            layers.append((name, source, value))
    values, sources = _strictest(layers)
    _reject_contradictions(values, sources)
    return EffectiveLimits(
        mode=mode,
        level=level,
        max_size=int(values["max_size"]),
        per_trade_usd=values["per_trade_usd"],
        per_trade_pct=values["per_trade_pct"],
        daily_loss_usd=values["daily_loss_usd"],
        daily_target_usd=values["daily_target_usd"],
        trades_per_day=int(values["trades_per_day"]),
        max_drawdown=values["max_drawdown"],
        bn_score_threshold=values["bn_score_threshold"],
        min_confluence=values["min_confluence"],
        min_confidence=values["min_confidence"],
        start_minute=int(values["start_minute"]),
        end_minute=int(values["end_minute"]),
        half_after_minute=int(values["half_after_minute"]),
        vix_ceiling=values["vix_ceiling"],
        kelly_fraction=values["kelly_fraction"],
        sources=MappingProxyType(sources),
    )


def _strictest(
    layers: Iterable[tuple[str, str, float]],
) -> tuple[dict[str, float], dict[str, str]]:
    # Of equally strict sources the first is named: tables before wishes.
    values: dict[str, float] = {}
    sources: dict[str, str] = {}
    for name, source, raw in layers:
        value = _checked(name, raw, source)
        if name not in values or (
            value > values[name] if name in REQUIRED_MINIMA else value < values[name]
        ):
            values[name], sources[name] = value, source
    return values, sources


def _reject_contradictions(values: Mapping[str, float], sources: Mapping[str, str]) -> None:
    def told(name: str) -> str:
        return f"{name} {values[name]:g} ({sources[name]})"

    if values["per_trade_usd"] > values["daily_loss_usd"]:
        raise ConfigError(
            f"{told('per_trade_usd')} exceeds {told('daily_loss_usd')}: "
            "one trade may not lose more than the day; lower limits.per_trade_usd or allow more"
        )
    if values["start_minute"] >= values["end_minute"]:
        raise ConfigError(
            f"no trading hours: {told('start_minute')} is not before {told('end_minute')}; "
            "both are minutes after midnight, New York"
        )
    if values["end_minute"] > 24 * 60:
        raise ConfigError(f"{told('end_minute')} lies beyond the day of 1440 minutes")
    for name in ("max_size", "trades_per_day", "per_trade_usd", "daily_loss_usd"):
        if values[name] <= 0:
            raise ConfigError(f"{told(name)} allows no trade: it must be above 0")
