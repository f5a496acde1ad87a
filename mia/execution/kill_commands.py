"""The trader's end of the kill switch: commands from outside, and a state that outlives it."""

import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

from mia.core.base_types import TradingState
from mia.core.crash_points import crash_point
from mia.data import state_files
from mia.data.state_files import KillAnswer, KillCommand
from mia.errors import DataError, JournalError
from mia.execution.kill_switch import LATCHED, Cause, KillSwitch

_ANNOUNCED_S = 2.0
"""A signal within this time of a halt or a flatten that was taken is the one that announces it."""

COMMAND_TAKEN = "kill.command"
"""Kind of the journal's events that say which command was obeyed, and how."""


class KillJournal(Protocol):
    """What is needed of the journal."""

    def append(self, kind: str, payload: object, *, ts: int, durable: bool = False) -> int:
        """Write an event; it is durable on return if it is to be."""
        ...

    def events(self, after: int = 0) -> Iterator[tuple[int, int, str, dict[str, Any]]]:
        """Yield (number, ts, kind, payload)."""
        ...


class KillStore:
    """Keeps the kill switch's state in the journal.

    Hand `on_change` to the switch when it is made, then `attach` the switch.

    Parameters
    ----------
    journal : KillJournal

    Attributes
    ----------
    trouble : str
        Why the state in the journal may be older than that in memory; empty if it is not.
    """

    def __init__(self, journal: KillJournal) -> None:
        self._journal = journal
        self._switch: KillSwitch | None = None
        self._saved: dict[str, Any] = {}
        self.trouble = ""

    def attach(self, switch: KillSwitch) -> None:
        """Take the switch whose state is kept."""
        self._switch = switch

    def restore(self, ts: int) -> frozenset[str]:
        """Give the switch the state that it last had; return the commands taken so far.

        Raises
        ------
        DataError
            If that state is damaged; the switch is then at EMERGENCY.
        """
        switch = self._attached()
        state: dict[str, Any] | None = None
        taken = set()
        for _, _, kind, payload in self._journal.events():
            if kind == state_files.KILL_STATE:
                state = payload
            elif kind == COMMAND_TAKEN:
                taken.add(str(payload["identity"]))
        if state is not None:
            switch.restore(state, ts)
            self._saved = state
        return frozenset(taken)

    def on_change(self, cause: Cause, before: TradingState, after: TradingState) -> None:
        """Make a raised state durable before anything else happens; never raises."""
        self.save(cause.since, durable=True)

    def save(self, ts: int, *, durable: bool = False) -> None:
        """Write the state if it differs from what is written; call it every second.

        Never raises: a disk that refuses does not lower the state in memory. `trouble` tells.
        """
        if self._switch is None:
            return
        state = self._switch.to_dict()
        if state == self._saved:
            return
        try:
            crash_point("before_latch")
            self._journal.append(state_files.KILL_STATE, state, ts=ts, durable=durable)
            crash_point("after_latch")
        except JournalError as error:
            self.trouble = f"the state of the kill switch is in memory only: {error}"
        else:
            self._saved, self.trouble = state, ""

    def obey(self, command: KillCommand, ts: int) -> KillAnswer:
        """Carry a command out on the switch, durably, and say what came of it."""
        switch = self._attached()
        if command.name == "reset":
            switch.reset()
        else:
            switch.command(command.name, ts)
        kept = sorted(rule.value for rule in switch.causes if rule in LATCHED)
        refused = command.name == "reset" and kept
        if refused:
            text = f"{' and '.join(kept)} lasts until the next session; the rest was reset"
        else:
            text = f"{command.name}: the state is {switch.state.name}"
        answer = KillAnswer(command.identity, "refused" if refused else "obeyed", text)
        note = {"identity": command.identity, "name": command.name, "outcome": answer.outcome}
        if command.by:
            note["by"] = command.by
        # Their order matters: a command counts as taken only once its effect cannot be lost.
        self.save(ts, durable=True)
        if self.trouble:
            return KillAnswer(command.identity, answer.outcome, f"{text}; {self.trouble}")
        with suppress(JournalError):
            self._journal.append(COMMAND_TAKEN, note, ts=ts, durable=True)
        return answer

    def _attached(self) -> KillSwitch:
        if self._switch is None:
            raise RuntimeError("no kill switch is attached")
        return self._switch


class KillCommands:
    """Takes commands from the state directory and from SIGUSR1, each of them once.

    A command is a file, so it waits for a trader that is dead or hangs: the next start takes it
    before it trades. The signal only says that it is there; one without a file means ``halt``.

    Parameters
    ----------
    directory : Path
        The state directory.
    store : KillStore
    """

    def __init__(self, directory: Path, store: KillStore) -> None:
        self._path = directory / state_files.KILL
        self._taken_path = directory / state_files.KILL_TAKEN
        self._answer_path = directory / state_files.KILL_ACK
        self._store = store
        self._known: set[str] = set()
        self._answer: KillAnswer | None = None
        self._held: dict[Path, tuple[int, int]] = {}
        self._signals = 0
        self._announced_until = 0.0
        self._seen_signals = 0

    def start(self, ts: int) -> list[KillCommand]:
        """Restore the switch, then obey what came while no trader ran; call it before trading.

        Returns
        -------
        list of KillCommand
            What was obeyed, oldest first.
        """
        with suppress(DataError):
            # The switch is at EMERGENCY then, and a command may still come on top of it.
            self._known.update(self._store.restore(ts))
        self._store.save(ts, durable=True)
        return self.poll(ts)

    def listen(self) -> None:
        """Let SIGUSR1 announce commands, where there is such a signal; main thread only."""
        if hasattr(signal, "SIGUSR1"):
            signal.signal(signal.SIGUSR1, self.notice)

    def notice(self, number: int = 0, frame: FrameType | None = None) -> None:
        """Note a signal; for an event loop's own way to receive it."""
        self._signals += 1

    @property
    def is_signalled(self) -> bool:
        """Whether a signal came since the last poll."""
        return self._signals != self._seen_signals

    def poll(self, ts: int) -> list[KillCommand]:
        """Obey what has come; call it every second and whenever `is_signalled`.

        Returns
        -------
        list of KillCommand
            Commands that the switch obeys from now on and the caller has to act on: cancel
            entries for ``halt``, also close for ``flatten``. A refused reset is not among them.
        """
        signals, self._seen_signals = self.is_signalled, self._signals
        obeyed = []
        found = False
        # What was taken by a process that died before it had obeyed comes first.
        for path in (self._taken_path, self._path):
            mark = _mark(path)
            if mark is None:
                continue
            found = True
            if mark != self._held.get(path):
                obeyed += self._take(path, mark, ts)
            elif not self._store.trouble:
                self._drop(path)
        alone = not found and time.monotonic() >= self._announced_until
        if signals and alone and self._obey(KillCommand("halt", "signal"), ts):
            obeyed.append(KillCommand("halt", "signal"))
        return obeyed

    def done(self, text: str) -> None:
        """Say that the last command has had its effect: entries gone, position flat if asked."""
        if self._answer is not None and self._answer.outcome == "obeyed":
            self._tell(KillAnswer(self._answer.identity, "done", text))

    def _take(self, path: Path, mark: tuple[int, int], ts: int) -> list[KillCommand]:
        if path is self._path and not self._held:
            # Renamed first, so that a command that comes meanwhile is not removed with this one.
            with suppress(FileNotFoundError):
                path.replace(self._taken_path)
            path = self._taken_path
        command = state_files.read_command(path)
        if command is None:
            return []
        obeyed = [command] if self._obey(command, ts) else []
        # Its signal may come after it: taken for a halt of its own it would overwrite the answer.
        halts = bool(command.ts) and command.name != "reset"
        self._announced_until = time.monotonic() + _ANNOUNCED_S if halts else 0.0
        crash_point("before_command_done")
        if self._store.trouble:
            # The file is then the only thing that the next start will find: it has to stay.
            self._held[path] = mark
        else:
            self._drop(path)
        return obeyed

    def _drop(self, path: Path) -> None:
        self._held.pop(path, None)
        with suppress(OSError):
            path.unlink()

    def _obey(self, command: KillCommand, ts: int) -> bool:
        # One that was written by hand has no identity: it stands for itself each time.
        if command.ts:
            if command.identity in self._known:
                return False
            self._known.add(command.identity)
        answer = self._store.obey(command, ts)
        self._tell(answer)
        return answer.outcome == "obeyed"

    def _tell(self, answer: KillAnswer) -> None:
        self._answer = answer
        # On a full disk the command is obeyed all the same; its sender sees no answer.
        with suppress(OSError):
            state_files.write_answer(self._answer_path, answer)


def _mark(path: Path) -> tuple[int, int] | None:
    """Return what tells one file of a name from the next, None without a file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns
