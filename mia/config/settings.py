"""Settings from five layers: command line, environment, ``.env.automation``, profile, defaults.

A setting takes its value from the highest layer that names it. Risk limits are the exception:
of all layers, the tables of mode and level included, the strictest wins. A key that nothing
knows is an error in every layer.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from mia.config import limits as limit_tables
from mia.config import method
from mia.config.instruments import INSTRUMENTS
from mia.errors import ConfigError

ENV_FILE = ".env.automation"
PLAIN_NAMES = ("TRADING_MODE", "RISK_LEVEL", "MAX_DAILY_LOSS", "MAX_POSITION_SIZE")
"""Environment names without the prefix ``MIA_``."""


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

    seed: int = 1
    sessions: method.Count = 1
    trades_per_day: method.Count = 60_000
    start: str = "2025-03-10"


class Settings(BaseSettings):
    """All settings, validated and frozen."""

    model_config = SettingsConfigDict(
        env_prefix="MIA_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        validate_default=True,
    )

    trading_mode: str = Field("paper", pattern="^(data_collection|paper|live)$")
    risk_level: str = Field("conservative", pattern="^(conservative|moderate|aggressive)$")
    max_daily_loss: float = Field(limit_tables.DEFAULT_MAX_DAILY_LOSS, gt=0)
    max_position_size: int | None = Field(None, ge=1)
    symbol: str = "ES"
    feed: str = Field("none", pattern="^(none|synth)$")

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


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Turn nested mappings into one with dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for key, value in flat.items():
        *groups, name = key.split(".")
        place = nested
        for group in groups:
            place = place.setdefault(group, {})
            if not isinstance(place, dict):
                raise ConfigError(f"unknown key {key!r}: {group!r} is not a group of settings")
        place[name] = value
    return nested


def known_keys() -> dict[str, Any]:
    """Return every dotted key with its default."""
    return flatten(Settings().model_dump())


def find_profile(name: str) -> Path:
    """Return the file of a profile: a path as it stands, else one that the package ships.

    Raises
    ------
    ConfigError
        If there is none.
    """
    path = Path(name)
    if path.suffix == ".toml" or path.is_file():
        if path.is_file():
            return path
        raise ConfigError(f"profile {name} does not exist: give a TOML file or a shipped name")
    shipped = resources.files("mia.config") / "profiles" / f"{name}.toml"
    if shipped.is_file():
        return Path(str(shipped))
    names = sorted(
        entry.name.removesuffix(".toml")
        for entry in (resources.files("mia.config") / "profiles").iterdir()
        if entry.name.endswith(".toml")
    )
    raise ConfigError(f"unknown profile {name!r}: choose one of {', '.join(names)} or a TOML file")


def parse_assignments(assignments: Sequence[str]) -> dict[str, Any]:
    """Parse ``key=value`` of the command line; values are JSON where they can be, else text.

    Raises
    ------
    ConfigError
        If an item has no ``=``.
    """
    parsed: dict[str, Any] = {}
    for item in assignments:
        key, equals, text = item.partition("=")
        if not equals or not key:
            raise ConfigError(f"--set takes key=value, was {item!r}")
        try:
            parsed[key.strip()] = json.loads(text)
        except json.JSONDecodeError:
            parsed[key.strip()] = text
    return parsed


def _plain(values: Mapping[str, str | None]) -> dict[str, str]:
    return {name.lower(): value for name in PLAIN_NAMES if (value := values.get(name))}


def _reject_unknown(flat: Mapping[str, Any], layer: str) -> None:
    known = known_keys()
    for key in flat:
        if key not in known and not any(key == name.split(".")[0] for name in known):
            near = [name for name in known if name.rsplit(".", 1)[-1] == key.rsplit(".", 1)[-1]]
            hint = f"; did you mean {near[0]}?" if near else "; `mia config show` lists all keys"
            raise ConfigError(f"unknown key {key!r} in {layer}{hint}")


def _read_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    flat = flatten(EnvSettingsSource(Settings)())
    known = {f"MIA_{key.replace('.', '__')}".upper() for key in known_keys()}
    for name in environ:
        if name.upper().startswith("MIA_") and "__" in name and name.upper() not in known:
            raise ConfigError(f"unknown key {name!r} in the environment: `mia config show` lists all")
    return flat | _plain(environ)


def _read_env_file(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    source = DotEnvSettingsSource(Settings, env_file=path, env_file_encoding="utf-8")
    found = dict(source.env_vars)
    plain = {name.upper(): value for name, value in found.items()}
    known = {f"MIA_{key.replace('.', '__')}".upper() for key in known_keys()} | set(PLAIN_NAMES)
    for name in plain:
        if name not in known:
            raise ConfigError(f"unknown key {name!r} in {path}: `mia config show` lists all keys")
    values = {
        key: value for key, value in flatten(source()).items() if key.upper() not in PLAIN_NAMES
    }
    return values | _plain(plain)


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
    environ = os.environ if environ is None else environ
    env_path = Path(ENV_FILE) if env_file is None else env_file
    layers: list[tuple[str, dict[str, Any]]] = []
    try:
        if profile is not None:
            path = find_profile(profile)
            layers.append(
                (f"profile {profile}", flatten(TomlConfigSettingsSource(Settings, path)()))
            )
        layers.append((str(env_path), _read_env_file(env_path)))
        layers.append(("environment", _read_environment(environ)))
    except (SettingsError, ValueError) as error:
        raise ConfigError(f"settings cannot be read: {error}") from error
    layers.append(("command line", parse_assignments(assignments)))
    merged: dict[str, Any] = {}
    origin: dict[str, str] = {}
    for layer, values in layers:
        _reject_unknown(values, layer)
        merged |= values
        origin |= dict.fromkeys(values, layer)
    settings = _validate(_nest(merged), origin)
    if settings.symbol not in INSTRUMENTS:
        raise ConfigError(f"unknown symbol {settings.symbol!r}: choose {', '.join(INSTRUMENTS)}")
    return LoadedSettings(
        settings, _strictest(settings, layers), MappingProxyType(origin), profile or ""
    )


def _validate(nested: dict[str, Any], origin: Mapping[str, str]) -> Settings:
    try:
        return Settings(**nested)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        layer = origin.get(key, "the settings")
        message = first["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{key} in {layer}: {message}, was {first['input']!r}") from error


def _strictest(
    settings: Settings, layers: Sequence[tuple[str, Mapping[str, Any]]]
) -> limit_tables.EffectiveLimits:
    """Combine the limits of all layers, not of the highest only."""
    environment: dict[str, float] = {"MAX_DAILY_LOSS": settings.max_daily_loss}
    asked: dict[str, float] = {}
    minima = limit_tables.REQUIRED_MINIMA
    if settings.max_position_size is not None:
        environment["MAX_POSITION_SIZE"] = settings.max_position_size
    for _, values in layers:
        for key, value in values.items():
            if key == "max_daily_loss":
                environment["MAX_DAILY_LOSS"] = min(environment["MAX_DAILY_LOSS"], float(value))
            elif key == "max_position_size":
                held = environment.get("MAX_POSITION_SIZE", float(value))
                environment["MAX_POSITION_SIZE"] = min(held, float(value))
            elif key.startswith("limits.") and value is not None:
                name = key.removeprefix("limits.")
                choose = max if name in minima else min
                asked[name] = choose(asked.get(name, float(value)), float(value))
    return limit_tables.effective_limits(
        settings.trading_mode, settings.risk_level, environment, asked
    )

