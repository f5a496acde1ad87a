"""Settings of what runs around the trader: alerts, the watchdog, logs; and which are secrets."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr

from mia.config import method
from mia.errors import ConfigError

ENV_FILE = ".env.automation"

SECRETS = frozenset({"alerts.discord_webhook", "alerts.apprise_urls", "alerts.ping_url"})
"""Keys of secrets: only the environment and `ENV_FILE` may hold them."""


class Alerts(method.Group):
    """Who is told what goes wrong, and the process that watches over the trader."""

    watchdog: bool = False
    discord_webhook: SecretStr | None = None
    apprise_urls: SecretStr | None = None
    apprise_s: float = Field(20.0, ge=1, le=120)
    queue: int = Field(1000, ge=10, le=100_000)
    cool_down_s: float = Field(60.0, ge=0, le=3600)
    escalate_after: int = Field(5, ge=2, le=1000)
    escalate_s: float = Field(600.0, ge=10, le=86_400)
    repeat_s: float = Field(300.0, ge=10, le=86_400)
    hang_s: float = Field(3.0, ge=1, le=60)
    start_s: float = Field(120.0, ge=5, le=3600)
    kill: str = Field("halt", pattern="^(off|halt|flatten)$")
    kill_after_s: float = Field(10.0, ge=0, le=600)
    ping_url: SecretStr | None = None
    ping_s: float = Field(60.0, ge=5, le=3600)
    disk_mb: int = Field(500, ge=10, le=1_000_000)


class Track(method.Group):
    """Figures of the closed trades that are worth an alert."""

    min_trades: int = Field(20, ge=5, le=10_000)
    win_rate: float = Field(0.40, ge=0, le=1)
    expectancy_r: float = Field(-0.10, ge=-10, le=10)
    drawdown_usd: float = Field(0.0, ge=0, le=1e9)
    slippage_ticks: float = Field(1.5, ge=0, le=1000)


class Logs(method.Group):
    """What the programs log."""

    json_lines: bool = False
    level: str = Field("INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$")


def reject_secrets(values: Mapping[str, Any], layer: str, env_file: Path) -> None:
    """Keep secrets out of the list of processes, and out of files that others can read.

    Parameters
    ----------
    values : mapping
        Of one layer, by dotted key.
    layer : str
        As messages call it.
    env_file : Path

    Raises
    ------
    ConfigError
        If the layer is no place for a secret that it holds.
    """
    for key in sorted(key for key in SECRETS if values.get(key) is not None):
        if layer == str(env_file) and is_open_to_others(env_file):
            raise ConfigError(f"{env_file} holds {key} and is open to others: chmod 600 {env_file}")
        if layer == "command line" or layer.startswith("profile"):
            raise ConfigError(
                f"{key} is a secret and has no place in the {layer}: write MIA_"
                f"{key.replace('.', '__').upper()} into {ENV_FILE} (mode 600) or the environment"
            )


def is_open_to_others(path: Path) -> bool:
    """Tell whether others than its owner have rights to a file; Windows keeps rights elsewhere."""
    return os.name == "posix" and bool(path.stat().st_mode & 0o077)


def secret_values(alerts: Alerts) -> list[str]:
    """Return everything that no log may show; each address of a list by itself as well."""
    found = []
    for key in sorted(SECRETS):
        value: SecretStr | None = getattr(alerts, key.split(".")[1])
        if value is not None:
            text = value.get_secret_value()
            found += [text, *text.replace(",", " ").split()]
    return found
