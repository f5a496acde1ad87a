"""What is told when the tape goes over from one feed to the other, or when prices are doubted."""

from dataclasses import dataclass
from enum import StrEnum


class SwitchReason(StrEnum):
    """Why the tape went over to the other feed."""

    AGE = "AGE"
    """The feed fell silent while the other went on."""

    LINK = "LINK"
    """Its connection was lost."""

    GAP = "GAP"
    """It said that trades are missing, or had none in seconds in which the other traded."""

    DISAGREEMENT = "DISAGREEMENT"
    """The prices were apart, and it was the one that left its own quotes."""

    RECOVERED = "RECOVERED"
    """The primary feed has been well for long enough."""


@dataclass(frozen=True, slots=True)
class FeedSwitch:
    """The tape went over from one feed to the other.

    Attributes
    ----------
    ts : int
        When, ns UTC, as the caller's clock has it.
    reason : SwitchReason
    left, taken : str
        Names of the feeds.
    boundary : int
        Exchange time from which on the trades are those of the new feed, ns UTC.
    whole : bool
        Whether nothing can be missing at the boundary, as far as the new feed is whole.
    text : str
        One line.
    """

    ts: int
    reason: SwitchReason
    left: str
    taken: str
    boundary: int
    whole: bool
    text: str


@dataclass(frozen=True, slots=True)
class FeedDoubt:
    """The prices of the feeds are apart, or meet again; nobody can tell which one is wrong."""

    ts: int
    doubted: bool
    text: str
