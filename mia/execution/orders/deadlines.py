"""Deadlines by key on a monotonic clock that is handed in."""

from collections.abc import Callable

Key = tuple[str, str]
"""What a deadline is about and which one it is, as in (order reference, ``ack``)."""


class Deadlines:
    """Which answers are overdue.

    Parameters
    ----------
    monotonic : callable
        Returns ns that never go back.
    """

    def __init__(self, monotonic: Callable[[], int]) -> None:
        self._monotonic = monotonic
        self._due: dict[Key, int] = {}
        self._since: dict[Key, int] = {}

    def start(self, key: Key, lasts: int) -> None:
        """Begin a deadline unless it runs already."""
        self._due.setdefault(key, self._monotonic() + lasts)

    def stop(self, key: Key) -> None:
        """End a deadline."""
        self._due.pop(key, None)

    def runs(self, key: Key) -> bool:
        """Tell whether a deadline was begun and has not passed."""
        return self._due.get(key, -1) > self._monotonic()

    def take_passed(self) -> list[Key]:
        """Return the deadlines that have passed, in their order; they end with it."""
        now = self._monotonic()
        passed = sorted((due, key) for key, due in self._due.items() if due <= now)
        for _, key in passed:
            del self._due[key]
        return [key for _, key in passed]

    def lasted(self, key: Key, holds: bool) -> int:
        """Return for how many ns a condition has held at every look, 0 if it does not."""
        if not holds:
            self._since.pop(key, None)
            return 0
        now = self._monotonic()
        return now - self._since.setdefault(key, now)

    def clear(self) -> None:
        """Forget everything."""
        self._due.clear()
        self._since.clear()
