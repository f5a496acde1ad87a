"""Settings from five layers: command line, environment, ``.env.automation``, profile, defaults.

A setting takes its value from the highest layer that names it. Risk limits are the exception:
of all layers, the tables of mode and level included, the strictest wins. A key that nothing
knows is an error in every layer.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from mia.config import limits as limit_tables
from mia.config import method
from mia.config.instruments import INSTRUMENTS
from mia.config.layers import (
    flatten,
    nest,
    read_assignments,
    read_env_file,
    read_environment,
    read_profile,
    reject_unknown,
)
from mia.config.operations import (
    ENV_FILE,
    SECRETS,
    Alerts,
    Logs,
    Track,
    reject_secrets,
    secret_values,
)
from mia.errors import ConfigError

LIMIT_NAMES = {"max_daily_loss": "daily_loss_usd", "max_position_size": "max_size"}
"""Limits with a name of their own beside those of the group ``limits``."""


class Limits(method.Group):
    """Risk limits that may be tightened; each is combined with its tables, strictest first."""

    max_size: int | None = None
    per_trade_usd: float | None = None
    per_trade_pct: float | None = None
    daily_loss_usd: float | None = None
    daily_target_usd: float | None = None
    trades_per_day: int | None = None
    max_drawdown: float | None = None
    bn_score_threshold: float | None = None
    min_confluence: float | None = None
    min_confidence: float | None = None
    vix_ceiling: float | None = None
    kelly_fraction: float | None = None
    start_minute: int | None = None
    end_minute: int | None = None
    half_after_minute: int | None = None


class Demo(method.Group):
    """The synthetic market that the demo trades."""

    seed: int = Field(41, ge=0)
    sessions: int = Field(1, ge=1, le=250)
    trades_per_day: int = Field(60_000, ge=100, le=5_000_000)
    start: str = "2025-03-10"
    faults: bool = True
    flush_ms: int = Field(500, ge=100, le=60_000)

    @field_validator("start")
    @classmethod
    def _a_date(cls, value: str) -> str:
        try:
            return date.fromisoformat(value).isoformat()
        except ValueError:
            raise ValueError(f"expected a date as 2025-03-10, was {value!r}") from None


class Ibkr(method.Group):
    """Connection to TWS or IB Gateway."""

    host: str = "127.0.0.1"
    port: int | None = Field(None, ge=1, le=65535)
    account: str | None = None
    orders_client_id: int = Field(71, ge=1, le=999_999)
    data_client_id: int = Field(72, ge=1, le=999_999)
    backend: str = Field("ib_insync", pattern="^(ib_insync|ib_async)$")
    connect_s: float = Field(10.0, gt=0, le=120)
    busy_s: float = Field(60.0, ge=0, le=3600)
    roll_days: int = Field(3, ge=1, le=30)


class Live(method.Group):
    """The trader as a process: its state on disk, its last gate, its patience."""

    state_dir: str = "state"
    sync: str = Field("group", pattern="^(group|strict)$")
    foreign: str = Field("halt", pattern="^(halt|ignore|adopt)$")
    ack_s: float = Field(2.0, gt=0, le=60)
    tick_age_s: float = Field(10.0, gt=0, le=300)
    clock_skew_s: float = Field(1.0, gt=0, le=60)
    close_grace_s: float = Field(2.0, ge=0, le=30)
    price_band_ticks: int = Field(40, ge=1, le=400)
    orders_per_minute: int = Field(6, ge=1, le=60)
    reentries: int = Field(3, ge=1, le=100)
    refusals: int = Field(10, ge=1, le=100)
    history: str | None = None
    book_age_s: float = Field(30.0, ge=2, le=300)
    chain: str | None = None
    chain_s: float = Field(60.0, ge=1, le=600)
    option_lines: int = Field(90, ge=1, le=1000)
    option_contracts: int = Field(2400, ge=100, le=10_000)
    hole_rth_s: float = Field(120.0, ge=10, le=3600)
    hole_s: float = Field(900.0, ge=10, le=14_400)


class Sierra(method.Group):
    """Trades from the ``.scid`` file that Sierra Chart writes."""

    folder: str | None = None
    points_per_unit: float | None = Field(None, gt=0, le=1000)
    hold_s: float = Field(1.0, ge=0, le=10)
    delay_s: float = Field(6.0, ge=0.5, le=30)


class Iqfeed(method.Group):
    """Trades from IQConnect, which runs on this machine as a rule."""

    host: str = "127.0.0.1"
    level1_port: int = Field(5009, ge=1, le=65535)
    lookup_port: int = Field(9100, ge=1, le=65535)
    symbol: str = Field("@{contract}", pattern=r"^[^,\s]*\{contract\}[^,\s]*$")
    silence_s: float = Field(10.0, ge=2, le=60)
    delay_s: float = Field(3.0, ge=0.5, le=30)


class Fallback(method.Group):
    """When the trader goes over from its feed to the next one, and back."""

    age_s: float = Field(3.0, ge=0.5, le=60)
    silent_s: int = Field(3, ge=1, le=60)
    apart_ticks: int = Field(4, ge=1, le=100)
    apart_s: int = Field(3, ge=1, le=60)
    back_s: float = Field(60.0, ge=1, le=3600)


class Backup(method.Group):
    """Backups that the trader has made of its own state."""

    every_h: float = Field(4.0, ge=0, le=168)
    folder: str | None = None
    wait_s: float = Field(120.0, ge=1, le=3600)


class Replay(method.Group):
    """Recorded trades that are played through the trader, on the simulated exchange."""

    source: str | None = None


class Dashboard(method.Group):
    """The web page: where it listens, and what it demands of whoever is not on this machine."""

    host: str = "127.0.0.1"
    port: int = Field(8700, ge=0, le=65535)
    names: str | None = None
    token_file: str | None = None
    certificate: str | None = None
    key: str | None = None
    hz: float = Field(10.0, ge=1, le=20)


class Settings(BaseSettings):
    """All settings, validated and frozen."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        validate_default=True,
        allow_inf_nan=False,
    )

    trading_mode: str = Field("paper", pattern="^(data_collection|paper|live)$")
    risk_level: str = Field("conservative", pattern="^(conservative|moderate|aggressive)$")
    max_daily_loss: float = Field(1000.0, gt=0)
    max_position_size: int | None = Field(None, ge=1)
    symbol: str = Field("ES", pattern=f"^({'|'.join(INSTRUMENTS)})$")
    feed: str = Field("none", pattern="^(none|synth|ibkr|sierra|iqfeed|replay)$")
    feed_fallbacks: tuple[str, ...] = ()

    stream: method.Stream = method.Stream()
    bars: method.Bars = method.Bars()
    flow: method.Flow = method.Flow()
    sources: method.Sources = method.Sources()
    stats: method.Stats = method.Stats()
    vwap: method.Vwap = method.Vwap()
    profile: method.Profile = method.Profile()
    pat: method.Pat = method.Pat()
    bn: method.Bn = method.Bn()
    book: method.Book = method.Book()
    feat: method.Feat = method.Feat()
    reg: method.Reg = method.Reg()
    opt: method.Opt = method.Opt()
    conf: method.Conf = method.Conf()
    mtf: method.Mtf = method.Mtf()
    evid: method.Evid = method.Evid()
    es_pattern: method.EsPattern = method.EsPattern()
    trend: method.Trend = method.Trend()
    range: method.Range = method.Range()
    gate: method.Gate = method.Gate()
    cost: method.Cost = method.Cost()
    fill: method.Fill = method.Fill()
    risk: method.Risk = method.Risk()
    exit: method.Exit = method.Exit()
    ml: method.Ml = method.Ml()
    account: method.Account = method.Account()
    limits: Limits = Limits()
    demo: Demo = Demo()
    ibkr: Ibkr = Ibkr()
    live: Live = Live()
    sierra: Sierra = Sierra()
    iqfeed: Iqfeed = Iqfeed()
    fallback: Fallback = Fallback()
    backup: Backup = Backup()
    replay: Replay = Replay()
    dashboard: Dashboard = Dashboard()
    alerts: Alerts = Alerts()
    track: Track = Track()
    logs: Logs = Logs()

    @field_validator("feed_fallbacks")
    @classmethod
    def _one_other_feed(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        strange = [name for name in value if name not in ("sierra", "iqfeed", "ibkr")]
        if strange:
            raise ValueError(f"sierra, iqfeed and ibkr can be fallen back on, was {strange[0]!r}")
        if len(set(value)) < len(value):
            raise ValueError(f"each feed can be named once, was {list(value)}")
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take the already merged layers only; `load_settings` reads each of them by itself."""
        return (init_settings,)

    def groups(self) -> Mapping[str, method.Group]:
        """Return the groups of the method by name."""
        return {name: getattr(self, name) for name in method.METHOD_GROUPS}


@dataclass(frozen=True, slots=True)
class LoadedSettings:
    """Settings with the layer that each value came from.

    Attributes
    ----------
    settings : Settings
    limits : limits.EffectiveLimits
    origin : mapping of str to str
        Layer by dotted key; a key that is absent has its default.
    profile : str
        Name or path of the profile, empty without one.
    """

    settings: Settings
    limits: limit_tables.EffectiveLimits
    origin: Mapping[str, str]
    profile: str

    @property
    def secrets(self) -> list[str]:
        """Everything that no log may show; each address of a list by itself as well."""
        return secret_values(self.settings.alerts)


@cache
def known_keys() -> Mapping[str, Any]:
    """Return every dotted key with its default."""
    return MappingProxyType(flatten(Settings().model_dump()))


def load_settings(
    profile: str | None = None,
    assignments: Sequence[str] = (),
    *,
    env_file: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> LoadedSettings:
    """Read all layers and validate the result.

    Parameters
    ----------
    profile : str, optional
        Name of a shipped profile or path of a TOML file.
    assignments : sequence of str
        ``key=value`` from the command line.
    env_file : Path, optional
        ``.env.automation`` of the working directory by default; need not exist.
    environ : mapping, optional
        The process's environment by default.

    Returns
    -------
    LoadedSettings

    Raises
    ------
    ConfigError
        If a file is missing or malformed, a key unknown, a value invalid, or limits contradict.
    """
    known = known_keys()
    path = Path(ENV_FILE) if env_file is None else env_file
    layers: list[tuple[str, dict[str, Any]]] = []
    if profile is not None:
        layers.append((f"profile {profile}", read_profile(profile)))
    layers.append((str(path), read_env_file(path, known)))
    layers.append(
        ("environment", read_environment(os.environ if environ is None else environ, known))
    )
    layers.append(("command line", read_assignments(assignments)))
    merged: dict[str, Any] = {}
    origin: dict[str, str] = {}
    wishes: list[tuple[str, dict[str, float]]] = []
    for layer, values in layers:
        reject_unknown(values, known, layer)
        reject_secrets(values, layer, path)
        wishes += _wishes(_validate(values, layer), values, layer)
        merged |= values
        origin |= dict.fromkeys(values, layer)
    settings = _validate(merged, "the settings")
    limits = limit_tables.effective_limits(settings.trading_mode, settings.risk_level, wishes)
    return LoadedSettings(settings, limits, MappingProxyType(origin), profile or "")


def _validate(values: Mapping[str, Any], layer: str) -> Settings:
    """Judge the values of a layer by themselves, so that a bad one is found under a good one."""
    try:
        return Settings(**nest(values))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        is_plain = first["type"] != "value_error" and key not in SECRETS
        found = f", was {first['input']!r}" if is_plain else ""
        raise ConfigError(f"{key} in {layer}: {message}{found}") from None


def _wishes(
    settings: Settings, given: Mapping[str, Any], layer: str
) -> list[tuple[str, dict[str, float]]]:
    """Return the limits that a layer asks for; those of all layers count, not the highest only."""
    asked = {
        name: value
        for name, value in settings.limits.model_dump().items()
        if value is not None and f"limits.{name}" in given
    }
    wishes = [(layer, asked)] if asked else []
    for key, name in LIMIT_NAMES.items():
        value = getattr(settings, key)
        if key in given and value is not None:
            wishes.append((f"{layer}, {key}", {name: value}))
    return wishes
