"""Alerts as a message of Discord, within the limits of its API.

Limits as its documentation states them: content 2000, ten embeds, title 256, description 4096,
footer 2048, all embeds together 6000 letters. Letters are counted as UTF-16 does, which is never
less than Discord counts.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime

from mia.core.alert_file import Alert, AlertLevel

MOST_ALERTS = 10
"""Embeds that a message may have."""

_ALL, _TITLE, _FOOTER, _TEXT = 5900, 250, 100, 1500
_COLOURS = {AlertLevel.INFO: 0x5B8DEF, AlertLevel.WARNING: 0xE0A030, AlertLevel.CRITICAL: 0xD03A3A}


def length(text: str) -> int:
    """Return the length of a text in units of UTF-16."""
    return len(text.encode("utf-16-le", "replace")) // 2


def cut(text: str, most: int) -> str:
    """Return a text of at most so many units, with an ellipsis where it was cut.

    Halves of letters, which no encoding takes, become question marks.
    """
    text = text.encode("utf-8", "replace").decode()
    if length(text) <= most:
        return text
    kept = text[: most - 1]
    while length(kept) > most - 1:
        kept = kept[:-1]
    return kept + "…"


def size_of(alert: Alert) -> int:
    """Return how much of the allowance for all embeds an alert takes."""
    title, text, footer = _parts(alert)
    return length(title) + length(text) + length(footer)


def how_many(alerts: Sequence[Alert]) -> int:
    """Return how many of some alerts, from the first on, fit into one message; at least one."""
    room, count = _ALL, 0
    for alert in alerts[:MOST_ALERTS]:
        room -= size_of(alert)
        if room < 0:
            break
        count += 1
    return max(count, 1)


def message(alerts: Sequence[Alert], note: str = "") -> bytes:
    """Return the body of a message; nobody is mentioned, whatever the texts say.

    Parameters
    ----------
    alerts : sequence of Alert
        As many as `how_many` allows.
    note : str
        Stands above them.
    """
    worst = max(alert.level for alert in alerts)
    head = f"{worst.name}: {alerts[0].text}" if worst is AlertLevel.CRITICAL else ""
    content = "\n".join(filter(None, (cut(head, 1500), cut(note, 300))))
    body = {
        "content": content,
        "embeds": [_embed(alert) for alert in alerts],
        "allowed_mentions": {"parse": []},
    }
    return json.dumps(body).encode()


def _parts(alert: Alert) -> tuple[str, str, str]:
    return (
        cut(f"{alert.level.name} {alert.key}", _TITLE),
        cut(alert.text, _TEXT) or "(no text)",
        cut(alert.source, _FOOTER),
    )


def _embed(alert: Alert) -> dict[str, object]:
    title, text, footer = _parts(alert)
    embed: dict[str, object] = {
        "title": title,
        "description": text,
        "color": _COLOURS[alert.level],
        "footer": {"text": footer},
    }
    wall = alert.wall or alert.ts
    if wall > 0:
        embed["timestamp"] = datetime.fromtimestamp(wall / 1e9, UTC).isoformat()
    return embed
