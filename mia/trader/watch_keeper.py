"""Keeps a watchdog at the trader's side: starts it, notices when it dies or hangs, starts it again.

The watchdog is a session of its own, so it outlives the trader, whatever ends it.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from mia.config.operations import SECRETS
from mia.config.settings import LoadedSettings
from mia.core.alert_file import AlertLevel
from mia.monitoring.watch.watch_beat import beat_age, watch_beat

LOG = "watch.log"
_GRACE_S = 20.0
_PAUSE_S = 60.0
_HANG_S = 3.5
_SILENT_S = 2.5
"""Of these seconds so many must have been watched: with a look every second, one that stops is
told of after 3.5 to 4.5 s, and one that only waited with everybody else is not."""
_LONGEST_STEP_S = 1.2
"""Of silence between two looks no more is counted: the one who looks may have stood still too."""


def watch_command(loaded: LoadedSettings, state_dir: Path) -> list[str]:
    """Return the command of a watchdog with the settings of a trader; no secret is in it."""
    command = [sys.executable, "-m", "mia.cli", "watch", "--with-trader"]
    command += ["--state-dir", str(state_dir)]
    if loaded.profile:
        command += ["--config", loaded.profile]
    for key, layer in sorted(loaded.origin.items()):
        group, _, name = key.partition(".")
        if layer == "command line" and group in ("alerts", "logs") and key not in SECRETS:
            value = getattr(getattr(loaded.settings, group), name)
            command += ["--set", f"{key}={json.dumps(value)}"]
    return command


class WatchKeeper:
    """Call `look` every second or so.

    Parameters
    ----------
    state_dir : Path
    command : list of str
    tell : callable
        Takes level, key and text of an alert.
    """

    def __init__(
        self,
        state_dir: Path,
        command: list[str],
        tell: Callable[[AlertLevel, str, str], None],
    ) -> None:
        self._path = state_dir
        self._command = command
        self._tell = tell
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = -_PAUSE_S
        self._hangs = False
        self._seen = False
        self._looked_at = 0.0
        self._silent = 0.0
        self._beat = 0

    def look(self, now: float) -> None:
        """See whether a watchdog is at work, and start one if none is.

        Parameters
        ----------
        now : float
            Seconds of the monotonic clock.
        """
        if self._process is not None and self._process.poll() is not None:
            self._process = None
        beat = watch_beat(self._path)
        step = min(max(now - self._looked_at, 0.0), _LONGEST_STEP_S)
        self._looked_at = now
        if beat is not None:
            self._seen = True
            self._silent = self._silent + step if beat == self._beat else 0.0
            self._beat = beat
            self._judge(beat_age(beat))
            return
        starting = self._process is not None and now - self._started_at < _GRACE_S
        if starting or (self._process is None and now - self._started_at < self._pause()):
            return
        if self._seen:
            self._tell(AlertLevel.WARNING, "watchdog:gone", "the watchdog is gone; started again")
        elif self._started_at > 0:
            self._tell(
                AlertLevel.WARNING, "watchdog:start", f"the watchdog does not start: see {LOG}"
            )
        self._seen = False
        self._start(now)

    def _pause(self) -> float:
        # One that did its work and is gone is replaced at once; one that never came up is not.
        return 0.0 if self._seen else _PAUSE_S

    def _start(self, now: float) -> None:
        self._started_at = now
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        try:
            said = os.open(self._path / LOG, flags, 0o600)
        except OSError:
            said = os.open(os.devnull, os.O_WRONLY)
        try:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
        except OSError as error:
            self._tell(AlertLevel.WARNING, "watchdog:start", f"no watchdog: {error}")
        finally:
            os.close(said)

    def _judge(self, age: float) -> None:
        hangs = age > _HANG_S and self._silent >= _SILENT_S
        if hangs and not self._hangs:
            text = f"the watchdog hangs: it has not looked for {age:.0f} s; alerts wait"
            self._tell(AlertLevel.WARNING, "watchdog:hangs", text)
        elif self._hangs and not hangs:
            self._tell(AlertLevel.INFO, "watchdog:back", "the watchdog looks again")
        self._hangs = hangs
