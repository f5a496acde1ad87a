"""Write the tables of docs/configuration.md from the models of the settings.

Run it after a setting or a limit changed; a test compares the page with what it would write.
"""

import sys
from pathlib import Path
from typing import Any

from mia.config.layers import flatten
from mia.config.limits import LEVEL_LIMITS, MODE_LIMITS, REQUIRED_MINIMA
from mia.config.method import METHOD_GROUPS
from mia.config.operations import SECRETS, Alerts, Logs, Track
from mia.config.settings import (
    Backup,
    Dashboard,
    Demo,
    Fallback,
    Ibkr,
    Iqfeed,
    Limits,
    Live,
    Replay,
    Settings,
    Sierra,
)

PAGE = Path(__file__).parent.parent / "docs" / "configuration.md"
BEGIN, END = "<!-- {} -->\n", "<!-- end of {} -->"

NO_EFFECT = frozenset(
    {
        "profile.tpo",
        "bars.reversal_ticks",
        "risk.max_positions",
    }
)
"""Keys of parts that this version has not, or that have one value."""

WORDS = {
    "stream.primary": "`time:N` (seconds), `reversal:N`, `tick:N`, `volume:N`, `range:N`",
    "stream.micro": "as `stream.primary`",
    "mtf.frames_min": "four ascending widths in minutes that divide a day",
    "demo.start": "a date",
    "ibkr.account": "as IBKR writes it, `DU...` for paper",
    "live.state_dir": "a folder",
    "live.history": "a store for the warm-up, or none",
    "sierra.folder": "Sierra Chart's data folder",
    "iqfeed.symbol": "a symbol with `{contract}` in it, as `@{contract}` for `@ESZ25`",
    "dashboard.names": "further names and addresses of this machine, commas between, or none",
    "dashboard.token_file": "a file that only you can read, or none",
    "dashboard.certificate": "a PEM file, or none",
    "dashboard.key": "a PEM file, or none",
    "feed_fallbacks": "none, or a list of `sierra`, `iqfeed`, `ibkr`",
    "backup.every_h": "hours, at most 168; 0 for none",
    "backup.folder": "a folder, or none for one beside the state directory",
    "replay.source": "a store, or a `.scid` file",
    "alerts.discord_webhook": "address of a webhook",
    "alerts.apprise_urls": "addresses of apprise, separated by spaces",
    "track.drawdown_usd": "USD; 0 for none",
    "alerts.ping_url": "address that is fetched while all is well",
    "live.chain": "a chain of yesterday or an archive of chains, or none",
}
"""What the model checks by itself."""


def allowed(schema: dict[str, Any]) -> str:
    """Say in a few words what values a field takes."""
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "pattern" in schema:
        words = schema["pattern"].strip("^$()").split("|")
        return ", ".join(f"`{word}`" for word in words)
    if "anyOf" in schema:
        kinds = [part for part in schema["anyOf"] if part.get("type") != "null"]
        return f"{allowed(kinds[0])}, or none"
    if schema.get("type") == "boolean":
        return "`true`, `false`"
    if schema.get("type") == "string":
        return "text"
    bounds = [
        (f"{word} {schema[name]:g}")
        for name, word in (
            ("exclusiveMinimum", "above"),
            ("minimum", "at least"),
            ("maximum", "at most"),
        )
        if name in schema
    ]
    kind = "whole number" if schema.get("type") == "integer" else "number"
    return ", ".join([kind, *bounds])


def fields(model: type[Any], prefix: str) -> list[str]:
    """Return a row of the table for each field of a group."""
    schema = model.model_json_schema()
    rows: list[str] = []
    for name, field in schema["properties"].items():
        key = f"{prefix}.{name}"
        if "$ref" in field:
            inner = schema["$defs"][field["$ref"].rsplit("/", 1)[-1]]["properties"]
            rows += [row(f"{key}.{leaf}", part) for leaf, part in inner.items()]
        else:
            rows.append(row(key, field))
    return rows


DEFAULTS = flatten(Settings().model_dump())


def row(key: str, schema: dict[str, Any]) -> str:
    """Return one row: key, default, values."""
    default = DEFAULTS[key]
    shown = {None: "none", True: "true", False: "false"}.get(default, default)
    if isinstance(default, int | float) and not isinstance(default, bool):
        shown = f"{default:g}" if isinstance(default, float) else default
    elif isinstance(default, tuple):
        shown = list(default)
    note = " (no effect yet)" if key in NO_EFFECT else ""
    note += ", or none; a secret" if key in SECRETS else ""
    return f"| `{key}` | {shown} | {WORDS.get(key) or allowed(schema)}{note} |"


def setting_tables() -> str:
    """Return the tables of all groups."""
    parts = []
    top = Settings.model_json_schema()["properties"]
    plain = [name for name in top if "$ref" not in top[name]]
    groups = [("general", [row(name, top[name]) for name in plain])]
    groups += [(name, fields(model, name)) for name, model in METHOD_GROUPS.items()]
    further = {"demo": Demo, "limits": Limits, "ibkr": Ibkr, "live": Live}
    further |= {"sierra": Sierra, "iqfeed": Iqfeed, "fallback": Fallback}
    further |= {"backup": Backup, "replay": Replay, "dashboard": Dashboard}
    further |= {"alerts": Alerts, "track": Track, "logs": Logs}
    groups += [(name, fields(model, name)) for name, model in further.items()]
    for name, rows in groups:
        parts.append(f"### {name}\n\n| key | default | values |\n|---|---|---|\n" + "\n".join(rows))
    return "\n\n".join(parts) + "\n"


def limit_tables() -> str:
    """Return the tables of modes and levels."""
    return f"{table(MODE_LIMITS)}\n\n{table(LEVEL_LIMITS)}\n"


def table(columns: Any) -> str:
    """Return limits by name, a column for each mode or level."""
    names = list(next(iter(columns.values())))
    lines = [f"| limit | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for name in names:
        cells = [shown(name, columns[column][name]) for column in columns]
        mark = " (at least)" if name in REQUIRED_MINIMA else ""
        lines.append(f"| `{name}`{mark} | {' | '.join(cells)} |")
    return "\n".join(lines)


def shown(name: str, value: float) -> str:
    """Write a limit: minutes as a clock, no limit as none."""
    if name.endswith("_minute"):
        return f"{int(value)} ({int(value) // 60:02d}:{int(value) % 60:02d})"
    return "none" if value == float("inf") else f"{value:g}"


def replaced(page: str, name: str, text: str) -> str:
    """Put a text between the marks of a page."""
    begin, end = BEGIN.format(name), END.format(name)
    before, rest = page.split(begin)
    after = rest.split(end)[1]
    return f"{before}{begin}\n{text}\n{end}{after}"


def render(page: str) -> str:
    """Return the page with its tables as they are now."""
    return replaced(replaced(page, "limits", limit_tables()), "settings", setting_tables())


if __name__ == "__main__":
    PAGE.write_text(render(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    sys.stdout.write(f"wrote {PAGE}\n")
