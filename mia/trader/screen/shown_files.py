"""What a run leaves in the state directory for screens, beside its frames.

Nothing of the trader reads these files. A disk that refuses them is the journal's to judge: here
it costs a screen a page.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from math import isfinite
from pathlib import Path
from typing import Any

from mia.config.settings import LoadedSettings
from mia.data import state_files
from mia.features.options_summary import appraise, charted
from mia.features.positioning import Positioning
from mia.performance.identity import configuration_hash, effective_limits

SCHEMA = 1


def note_limits(state_dir: Path, loaded: LoadedSettings, started: int) -> None:
    """Leave the limits in force, and the layer that set each.

    Parameters
    ----------
    started : int
        When the run began, ns UTC.
    """
    limits = effective_limits(loaded)
    values = {
        name: {
            # JSON has no infinity: a ceiling that is none is null.
            "value": value if isfinite(value) else None,
            "source": loaded.limits.sources[name],
        }
        for name, value in limits.items()
        if name in loaded.limits.sources
    }
    record = {
        "schema": SCHEMA,
        "started": started,
        "mode": loaded.limits.mode,
        "level": loaded.limits.level,
        "configuration": configuration_hash(loaded),
        "limits": values,
    }
    _write(state_dir / state_files.LIMITS, record)


def note_positioning(state_dir: Path, found: Positioning, now: int) -> None:
    """Leave what the newest chain says, judged at `now` (ns UTC)."""
    record = {"schema": SCHEMA, "ts": now, **charted(found, appraise(found, now))}
    with suppress(ValueError):
        # A number that is none must not end what follows the options.
        _write(state_dir / state_files.POSITIONING, record)


def _write(path: Path, record: Mapping[str, Any]) -> None:
    with suppress(OSError):
        state_files.write_private(path, json.dumps(record, allow_nan=False) + "\n")
