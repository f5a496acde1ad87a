"""Models of the ML filter, by the manifests that lie beside them; nothing of a model is loaded."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

MODELS = "models"
CURRENT = "current"
MANIFEST = "manifest.json"
MOST = 50
_LARGEST = 4 << 20


def models(state_dir: Path) -> dict[str, Any]:
    """Return ``current``, the name of the model in use or empty, and ``models``, newest first.

    Each has ``name``, ``written`` (ns UTC), ``manifest``, and ``fault`` if that cannot be read.
    """
    folder = state_dir / MODELS
    current = ""
    with suppress(OSError, UnicodeDecodeError):
        current = (folder / CURRENT).read_text(encoding="utf-8").strip()
    try:
        found = [path for path in folder.iterdir() if (path / MANIFEST).is_file()]
    except OSError:
        found = []
    newest = sorted(found, key=_written, reverse=True)[:MOST]
    return {"current": current, "models": [_model(path) for path in newest]}


def _written(path: Path) -> int:
    try:
        return (path / MANIFEST).stat().st_mtime_ns
    except OSError:
        return 0


def _model(path: Path) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": path.name,
        "written": _written(path),
        "manifest": {},
        "fault": "",
    }
    file = path / MANIFEST
    try:
        if file.stat().st_size > _LARGEST:
            raise ValueError("it is too large")
        manifest = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(manifest, dict):
            raise ValueError("it is no object")
    except (OSError, ValueError) as error:
        return entry | {"fault": f"{MANIFEST} cannot be read: {error}"}
    return entry | {"manifest": manifest}
