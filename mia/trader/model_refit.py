"""Has the model trained again in the break between two sessions, by a process of its own."""

import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mia.core import sessions
from mia.errors import DataError
from mia.monitoring.backups.backup_schedule import with_low_priority

log = logging.getLogger(__name__)

LOG = "refit.log"
PATIENCE_S = 1800.0
"""A training that takes longer than half an hour is ended: the next break comes."""


def refit_command(state_dir: Path, profile: str) -> list[str]:
    """Return the command that takes every step that is due."""
    command = [sys.executable, "-m", "mia.cli", "ml", "train", "--state-dir", str(state_dir)]
    return [*command, "--quiet", *(["--config", profile] if profile else [])]


class ModelRefit:
    """Starts a training when the market of a session has closed, once for each session.

    The trader needs no scikit-learn for it and waits for nothing: the model that decides changes
    when the next session begins, if the registry then says so.

    Parameters
    ----------
    state_dir : Path
    command : list of str
    note : callable
        Takes facts for the journal: ``event`` is REFIT_STARTED, REFIT_DONE or REFIT_FAILED.
    """

    def __init__(
        self, state_dir: Path, command: list[str], note: Callable[[dict[str, Any]], object]
    ) -> None:
        self._log = state_dir / LOG
        self._command = command
        self._note = note
        self._process: subprocess.Popen[bytes] | None = None
        self._session = 0
        self._closes = 0
        self._began = 0.0

    def publish(self, topic: str, event: object) -> None:
        """Take a beat: its event is the time of the market, ns UTC."""
        assert isinstance(event, int)
        if self._process is not None:
            self._attend(self._process)
        if not self._closes:
            self._find_close(event)
        elif event >= self._closes:
            self._start()
            self._find_close(event)

    def close(self) -> None:
        """End a training that runs; what it has finished stays."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None

    def _find_close(self, now: int) -> None:
        """Learn when the market closes next."""
        try:
            session = sessions.session_id(now)
            spans = sessions.expected_intervals(session)
            if not spans or now >= spans[-1][1]:
                session = sessions.next_trading_day(session)
                spans = sessions.expected_intervals(session)
        except DataError as error:
            log.warning("no model is trained again: %s", error)
            self._closes = sys.maxsize
            return
        self._session, self._closes = session, spans[-1][1]

    def _start(self) -> None:
        if self._process is not None:
            return
        try:
            with self._log.open("ab") as out:
                self._process = subprocess.Popen(
                    self._command,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=out,
                    # It is told to stop by the trader, not by the terminal.
                    start_new_session=True,
                )
        except OSError as error:
            self._fail(f"the training cannot be started: {error}")
            return
        if hasattr(os, "setpriority"):
            with_low_priority(self._process.pid)
        self._began = time.monotonic()
        self._note({"event": "REFIT_STARTED", "session_id": self._session})

    def _attend(self, process: subprocess.Popen[bytes]) -> None:
        code = process.poll()
        if code is None and time.monotonic() - self._began > PATIENCE_S:
            self.close()
            self._fail("the training took more than half an hour and was ended")
        elif code is not None:
            self._process = None
            if code:
                self._fail(f"the training ended with code {code}: see {self._log}")
            else:
                self._note({"event": "REFIT_DONE", "session_id": self._session})

    def _fail(self, text: str) -> None:
        log.warning("%s", text)
        self._note({"event": "REFIT_FAILED", "session_id": self._session, "text": text})
