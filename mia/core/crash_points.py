"""Named places at which a test may end the process, as a kill from outside would.

``MIA_CRASH_AT=after_intent`` kills it the first time that it gets there, ``after_intent:3`` the
third time. Without the variable a crash point costs one comparison.
"""

import os
import signal
from typing import NoReturn

CRASH_POINTS = (
    "before_intent",
    "after_intent",
    "after_entry_sent",
    "after_stop_sent",
    "after_target_sent",
    "before_fill_stored",
    "after_fill_stored",
    "before_stop_moved",
    "after_stop_moved",
    "before_cancel",
    "after_cancel",
    "before_flatten",
    "after_flatten_sent",
    "before_protect",
    "after_protect_sent",
    "before_reconcile",
    "after_reconcile",
    "before_latch",
    "after_latch",
    "before_command_done",
    "before_cycle_saved",
    "after_cycle_saved",
)
"""Every place there is; `crash_point` takes no other."""

_KNOWN = frozenset(CRASH_POINTS)


def _wish(text: str) -> tuple[str, int]:
    name, colon, number = text.partition(":")
    passes = int(number) if number.isdecimal() else 0 if colon else 1
    if text and (name not in _KNOWN or passes < 1):
        raise ValueError(f"MIA_CRASH_AT={text} is no crash point: {', '.join(CRASH_POINTS)}")
    return name, passes


_name, _passes = _wish(os.environ.get("MIA_CRASH_AT", ""))


def crash_point(name: str) -> None:
    """Kill this process if the environment wants it to end here.

    Raises
    ------
    ValueError
        If crash points are in use and this one is not listed.
    """
    if _name:
        _pass(name)


def _pass(name: str) -> None:
    global _passes  # noqa: PLW0603 - counts the passes of the one process that it will end
    if name not in _KNOWN:
        raise ValueError(f"{name} is not in the list of crash points")
    if name == _name:
        _passes -= 1
        if _passes == 0:
            _die()


def _die() -> NoReturn:
    # Nothing is flushed and nobody is told, unlike at any other end.
    os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
    os._exit(137)
