"""Which state directory a screen looks at."""

import os
from pathlib import Path

from mia.config.settings import LoadedSettings
from mia.errors import UsageError

DEMO_STATE = Path("results/demo/state")
"""Where ``mia trade --config demo`` keeps its state by default."""


def chosen_state(loaded: LoadedSettings, given: Path | None) -> Path:
    """Return the directory that is named, or else that of the profile's trader.

    Raises
    ------
    UsageError
        If neither names one.
    """
    if given is not None:
        return given.expanduser()
    settings = loaded.settings
    if settings.ibkr.account:
        return Path(settings.live.state_dir) / settings.ibkr.account
    named = os.environ.get("MIA_STATE_DIR")
    if named:
        return Path(named).expanduser()
    if loaded.profile in ("", "demo"):
        return DEMO_STATE
    raise UsageError(
        "which trader? name its state directory with --state-dir, or ibkr.account with --set"
    )
