"""``mia config``: settings and limits, and where each comes from."""

import json
from math import isfinite
from typing import Any

import typer
from pydantic import SecretStr

from mia.command_line import ConfigOption, JsonOption, SetOption, output_console

config = typer.Typer(no_args_is_help=True, help="Settings.")


@config.command("show")
def config_show(
    config_name: ConfigOption = None,
    assignments: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print each effective setting and limit, and where it comes from.

    Example: mia config show --config demo --set gate.min_rr=2
    """
    from rich.table import Table

    from mia.config.layers import flatten
    from mia.config.settings import load_settings
    from mia.performance.identity import effective_limits

    loaded = load_settings(config_name, assignments or ())
    values: dict[str, tuple[Any, str]] = {
        key: (value, loaded.origin.get(key, "default"))
        for key, value in flatten(loaded.settings.model_dump()).items()
        if not key.startswith("limits.")
    }
    limits: dict[str, tuple[Any, str]] = {
        f"limits.{name}": (value, loaded.limits.sources[name])
        for name, value in effective_limits(loaded).items()
        if name not in ("mode", "level")
    }
    if as_json:
        plain = {
            key: {"value": _plain(value), "source": source}
            for key, (value, source) in (values | limits).items()
        }
        print(json.dumps(plain, indent=2, allow_nan=False))
        return
    table = Table("setting", "value", "source")
    for key, (value, source) in (values | limits).items():
        table.add_row(key, str(value), source)
    output_console().print(table)


def _plain(value: Any) -> Any:
    """Return a value that JSON can say; no limit is null, a secret is covered."""
    if isinstance(value, float) and not isfinite(value):
        return None
    return str(value) if isinstance(value, SecretStr) else value
