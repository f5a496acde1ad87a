"""The watchdog's hand on the kill switch: it runs ``mia kill`` as a person would.

The command is a program of its own with its own connection to the broker, so nothing of it can
hold the watchdog up, and nothing is done that a person could not do. It is started once for each
trouble; only where no gateway answered it is started again, a few times.
"""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

_TRIES = 3
_PAUSE_S = 30.0
_LONGEST_S = 120.0
_TIMEOUT_S = "10"
_LOG = "watch.kill.log"
_ACTED = "NOT DONE"
_BROKER, _BUSY = 4, 7


class Outcome(NamedTuple):
    """What became of a command.

    Attributes
    ----------
    done : bool
        The exit code was 0.
    text : str
        Its last words.
    again : bool
        Whether it will be tried again.
    """

    done: bool
    text: str
    again: bool


class KillHand:
    """Runs the kill command for one state directory.

    Parameters
    ----------
    state_dir : Path
    action : {"off", "halt", "flatten"}
        With ``flatten`` a trader that hangs is ended first, or two would act at once.
    command : sequence of str
        What to run; ``python -m mia.kill`` by default.
    """

    def __init__(self, state_dir: Path, action: str, command: Sequence[str] = ()) -> None:
        self.action = action
        self._state = state_dir
        self._command = list(command) or [sys.executable, "-m", "mia.kill"]
        self._process: subprocess.Popen[bytes] | None = None
        self._began = 0.0
        self._again_at: float | None = None
        self._tries = 0

    @property
    def is_busy(self) -> bool:
        """Whether the command is at work."""
        return self._process is not None

    def pull(self, now: float) -> bool:
        """Start the command, unless that was done already; tell whether it was started."""
        if self.action == "off" or self._process is not None or self._tries:
            return False
        return self._start(now)

    def poll(self, now: float) -> Outcome | None:
        """Return what became of the command once it has ended; None while there is no news."""
        if self._again_at is not None and now >= self._again_at:
            self._again_at = None
            self._start(now)
        if self._process is None:
            return None
        code = self._process.poll()
        if code is None:
            if now - self._began < _LONGEST_S:
                return None
            self._process.kill()
            code = self._process.wait()
        self._process = None
        words = self._words()
        # After it has acted at the broker a second order would be one too many.
        unreached = code in (_BROKER, _BUSY) and _ACTED not in words
        again = unreached and self._tries < _TRIES
        if again:
            self._again_at = now + _PAUSE_S
        last = words.strip().splitlines()[-1:] or ["it said nothing"]
        return Outcome(code == 0, last[0], again)

    def rearm(self) -> None:
        """Be ready for the next trouble: a trader runs again."""
        if self._process is None:
            self._tries, self._again_at = 0, None

    def _start(self, now: float) -> bool:
        self._tries += 1
        self._began = now
        force = ["--force"] if self.action == "flatten" else []
        arguments = [self.action, "--state", str(self._state), "--timeout", _TIMEOUT_S, *force]
        path = self._state / _LOG
        try:
            path.touch(mode=0o600)
            with path.open("wb") as said:
                self._process = subprocess.Popen(
                    [*self._command, *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=said,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        except OSError:
            # A full disk may not keep the command from its work.
            self._process = subprocess.Popen(
                [*self._command, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        return True

    def _words(self) -> str:
        try:
            return (self._state / _LOG).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
