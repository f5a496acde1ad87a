"""Ctrl-C and termination: at once while a program loads, in order while it works."""

import os
import signal
import sys
from types import FrameType
from typing import NoReturn

INTERRUPTED = 130
TERMINATED = 143

_pending = False


def leave_at_once() -> None:
    """Let signals end the process where it stands; for the time when modules load.

    Python raises an interrupt wherever it is, and drops it in the callbacks that importing runs.
    """
    signal.signal(signal.SIGINT, _leave)
    signal.signal(signal.SIGTERM, _leave)


def unwind() -> None:
    """Let signals unwind like an error, so that nothing half-made stays."""
    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _terminate)
    if sys.unraisablehook is sys.__unraisablehook__:
        sys.unraisablehook = _report


def check() -> None:
    """Raise an interrupt that Python dropped because it came in a callback.

    Raises
    ------
    KeyboardInterrupt
        If there was one.
    """
    if _pending:
        raise KeyboardInterrupt


def settle() -> None:
    """End the process here after an interrupt that was dealt with; do nothing without one.

    An interrupt that passes through ``exec`` of a text, as when an import makes a dataclass,
    makes Python end itself by the signal in the end, even though it was caught.
    """
    if _pending:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(INTERRUPTED)


def _report(unraisable: "sys.UnraisableHookArgs") -> None:
    # An interrupt that Python drops in a callback is not lost: `check` raises it again.
    if not isinstance(unraisable.exc_value, KeyboardInterrupt):
        sys.__unraisablehook__(unraisable)


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    if number == signal.SIGTERM:
        os._exit(TERMINATED)
    os.write(2, b"mia: interrupted\n")
    os._exit(INTERRUPTED)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    global _pending  # noqa: PLW0603 - a signal handler has nowhere else to leave word
    _pending = True
    raise KeyboardInterrupt


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(TERMINATED)


def stop_as_signalled(number: int) -> NoReturn:
    """Leave with the exit code of a signal that was obeyed in order.

    Raises
    ------
    KeyboardInterrupt, SystemExit
    """
    if number == signal.SIGTERM:
        raise SystemExit(TERMINATED)
    raise KeyboardInterrupt
