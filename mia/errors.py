"""Errors that MIA raises on purpose, each with the exit code of the command that meets it.

::

    MiaError (1)
    ├── UsageError (2)          a command line that contradicts itself
    ├── ConfigError (3)         unknown key, contradictory limits, missing profile
    ├── BrokerError (4)         the broker cannot be reached or refuses
    │   └── OrderRefused        an order was not sent: the last gate refused it
    ├── DataError (5)           data missing, stale or not what it claims to be
    │   └── FormatError         a file is truncated, foreign or of another format
    ├── RiskHalt (6)            a risk limit stopped trading
    ├── AlreadyRunning (7)      another instance holds the state directory
    └── JournalError (8)        the journal is damaged and was set aside
        └── JournalUnavailable  the disk refuses to take what must be on it

A message is one line: what was wrong, the value found, and what to do about it.
"""

from typing import ClassVar


class MiaError(Exception):
    """Base of all errors of MIA."""

    exit_code: ClassVar[int] = 1


class UsageError(MiaError):
    """The command line contradicts itself."""

    exit_code: ClassVar[int] = 2


class ConfigError(MiaError):
    """A setting is unknown, malformed, or contradicts another."""

    exit_code: ClassVar[int] = 3


class BrokerError(MiaError):
    """The broker cannot be reached or refused a request."""

    exit_code: ClassVar[int] = 4


class OrderRefused(BrokerError):
    """An order was not sent, because the last gate before the broker refused it.

    Parameters
    ----------
    code : str
        Reason code of the gate.
    text : str
        One line for people.
    counts : bool
        Whether it counts as a reject.
    """

    def __init__(self, code: str, text: str, *, counts: bool = True) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.counts = counts


class DataError(MiaError):
    """Market data is missing, stale, or outside what was asked for."""

    exit_code: ClassVar[int] = 5


class FormatError(DataError):
    """A file is truncated, foreign, or not of the format that it claims."""


class RiskHalt(MiaError):
    """A risk limit stopped trading."""

    exit_code: ClassVar[int] = 6


class AlreadyRunning(MiaError):
    """Another instance holds the state directory."""

    exit_code: ClassVar[int] = 7


class JournalError(MiaError):
    """The journal is damaged and was set aside."""

    exit_code: ClassVar[int] = 8


class JournalUnavailable(JournalError):
    """The disk refuses to take what must be on it before anything else may happen."""
