"""Two feeds of one contract on their way into a session, of which one is followed.

A `FeedArbiter` decides which; this keeps it supplied and tells what it does. While a session is
brought up to date, or a hole is mended, only the primary feed counts, since its trades are joined
with its history; the comparison begins anew afterwards. What comes out of a pair goes where the
trades of a single feed would go, so a pair can take the place of the second feed of another.
"""

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from mia.core.base_types import TradeBlock
from mia.core.market_feed import FeedNotice, FeedNoticeKind, ReceivedTrades
from mia.data.feed_arbiter import ArbiterLimits, FeedArbiter
from mia.data.feed_switches import FeedDoubt, FeedSwitch
from mia.data.history_stitch import cut
from mia.execution.live.feed_intake import FAULTS, FeedIntake, log_notice

log = logging.getLogger(__name__)

SECOND = 1_000_000_000


class FeedTaker(Protocol):
    """Where a feed delivers."""

    def take(self, batch: ReceivedTrades) -> None:
        """Take trades as they come."""
        ...

    def on_notice(self, notice: FeedNotice) -> None:
        """Take a word of the feed about itself."""
        ...


@dataclass(frozen=True, slots=True)
class PairTelling:
    """What a pair says, and to whom.

    Attributes
    ----------
    event : callable
        Takes topic and event: ``feed`` (name, notice), ``feed_switch`` and ``feed_doubt``.
    lose : callable
        Told of times (ns UTC) between which trades are missing for good.
    """

    event: Callable[[str, object], None]
    lose: Callable[[int, int], None]


class FeedPair:
    """Follows one of two feeds and delivers it as one.

    Parameters
    ----------
    names : (str, str)
        Primary and secondary feed.
    contract : str
    sink : FeedTaker
        Takes the trades of the feed that is followed, and those of its notices that the pair
        could not answer by going over to the other.
    tell : PairTelling
    limits : ArbiterLimits
    numbered : collection of str
        As of `FeedArbiter`.
    joins : callable
        Whether trades are joined with history now.
    now : callable
        Time, ns UTC.

    Attributes
    ----------
    switches : int
        Since the start.
    """

    def __init__(
        self,
        names: tuple[str, str],
        contract: str,
        sink: FeedTaker,
        tell: PairTelling,
        limits: ArbiterLimits,
        numbered: Collection[str],
        joins: Callable[[], bool],
        now: Callable[[], int],
    ) -> None:
        self.names = names
        self._contract, self._sink, self._say = contract, sink, tell
        self._limits, self._numbered = limits, numbered
        self._joins, self._now = joins, now
        self._arbiter: FeedArbiter | None = None
        self._down: dict[str, FeedNotice] = {}
        self._faults = dict.fromkeys(names, "")
        self._newest = 0
        self._from = 0
        self._broken = False
        self._waits_since = 0
        self._is_down = False
        self.switches = 0

    @property
    def followed(self) -> str:
        """Name of the feed that is followed."""
        return self.names[0] if self._arbiter is None else self._arbiter.followed

    def fault(self) -> str:
        """Say why what is followed cannot be trusted now, empty if it can."""
        if self._arbiter is not None and self._arbiter.doubted:
            return f"prices of {' and '.join(self.names)} are apart"
        return self._faults[self.followed]

    def start_contract(self, contract: str) -> None:
        """Trade another contract from now on; called in a break."""
        self._contract, self._arbiter, self._waits_since = contract, None, 0

    def take(self, name: str, batch: ReceivedTrades) -> None:
        """Take trades of one of the feeds."""
        self._faults[name] = ""
        if self._joins():
            self._arbiter, self._waits_since = None, 0
            if name == self.names[0]:
                self._newest = max(self._newest, int(batch.block.ts_event[-1]))
                self._sink.take(batch)
            return
        if self._arbiter is None and name != self.names[0] and self._awaits_first():
            return
        arbiter = self._arbiter or self._begin()
        if name != self.names[0] and batch.block.ts_event[0] < self._from:
            # The primary's trades of that second were not seen by the arbiter.
            block = cut(batch.block, self._from, 2**63 - 1)
            if not len(block):
                return
            numbers = batch.seq[batch.block.ts_event >= self._from]
            batch = ReceivedTrades(block, numbers, batch.ts_recv)
        self._deliver(arbiter.on_trades(name, batch, self._now()), batch.ts_recv)

    def on_notice(self, name: str, notice: FeedNotice) -> None:
        """Take a notice of one of the feeds."""
        log_notice(name, notice)
        self._say.event("feed", (name, notice))
        if notice.kind is FeedNoticeKind.LINK_DOWN:
            self._down[name] = notice
        elif notice.kind is FeedNoticeKind.LINK_UP:
            self._down.pop(name, None)
        if notice.kind in FAULTS:
            self._faults[name] = f"{name}: {notice.text}" if FAULTS[notice.kind] else ""
        before = self.followed
        if self._joins():
            self._arbiter = None
        elif self._arbiter is not None:
            now = self._now()
            self._deliver(self._arbiter.on_notice(name, notice, now), now)
        if name == before == self.followed:
            if notice.kind is FeedNoticeKind.LINK_DOWN:
                self._is_down = True
            self._sink.on_notice(notice)

    def beat(self) -> None:
        """Judge the feeds; called a few times a second."""
        if self._arbiter is not None and not self._joins():
            now = self._now()
            self._deliver(self._arbiter.beat(now), now)

    def _awaits_first(self) -> bool:
        """Whether the primary feed, which has its past to take in, may still be behind."""
        now = self._now()
        self._waits_since = self._waits_since or now
        patience = round(2 * self._limits.age_s * SECOND)
        return self.names[0] not in self._down and now - self._waits_since < patience

    def _begin(self) -> FeedArbiter:
        self._from = (self._newest // SECOND + 1) * SECOND if self._newest else 0
        arbiter = self._arbiter = FeedArbiter(
            self._contract, *self.names, self._on_event, self._limits, self._numbered
        )
        for name, notice in self._down.items():
            arbiter.on_notice(name, notice, self._now())
        return arbiter

    def _deliver(self, blocks: list[TradeBlock], ts_recv: int) -> None:
        for block in blocks:
            first = int(block.ts_event[0])
            if self._broken:
                self._broken = False
                self._say.lose(self._newest, max(first, self._newest + 1))
            self._newest = max(self._newest, int(block.ts_event[-1]))
            self._sink.take(ReceivedTrades(block, np.zeros(len(block), np.int32), ts_recv))

    def _on_event(self, event: FeedSwitch | FeedDoubt) -> None:
        if isinstance(event, FeedSwitch):
            self.switches += 1
            self._broken = self._broken or not event.whole
            log.warning(
                "trades come from %s now, no more from %s: %s, %s%s",
                event.taken,
                event.left,
                event.reason.value,
                event.text,
                "" if event.whole else "; some may be missing in between",
            )
            self._say.event("feed_switch", event)
            if self._is_down:
                # What the pair delivers can be trusted again, whatever was said of the other one.
                self._is_down = False
                text = f"trades come from {event.taken}"
                self._sink.on_notice(FeedNotice(FeedNoticeKind.LINK_UP, text))
            return
        log.warning("%s: %s", " and ".join(self.names), event.text)
        self._say.event("feed_doubt", event)


class FeedSide:
    """Where one feed of a pair delivers.

    Parameters
    ----------
    pair : FeedPair
    name : str
    intake : FeedIntake, optional
        With the feed whose history the session is brought up to date from.
    """

    def __init__(self, pair: FeedPair, name: str, intake: FeedIntake | None = None) -> None:
        self._pair, self._name, self._intake = pair, name, intake

    def take(self, batch: ReceivedTrades) -> None:
        """Take trades as they come."""
        self._pair.take(self._name, batch)

    def on_notice(self, notice: FeedNotice) -> None:
        """Take a word of the feed about itself."""
        self._pair.on_notice(self._name, notice)

    def begin(self, ts: int) -> None:
        """See `FeedIntake.begin`."""
        if self._intake is not None:
            self._intake.begin(ts)

    def learn(self, block: TradeBlock) -> None:
        """See `FeedIntake.learn`."""
        if self._intake is not None:
            self._intake.learn(block)

    def mend_gaps(self) -> None:
        """See `FeedIntake.mend_gaps`."""
        if self._intake is not None:
            self._intake.mend_gaps()

    @property
    def holes(self) -> int:
        """Holes told to the state."""
        return 0 if self._intake is None else self._intake.holes


class IntakeSink:
    """Takes what a pair delivers into a session.

    A gap that the pair could not answer is mended from history if it is the primary feed's, whose
    history it is, and marked otherwise.
    """

    def __init__(self, intake: FeedIntake, followed: Callable[[], bool]) -> None:
        self._intake, self._is_primary = intake, followed

    def take(self, batch: ReceivedTrades) -> None:
        """Take trades."""
        self._intake.take(batch)

    def on_notice(self, notice: FeedNotice) -> None:
        """Take a notice of the feed that is followed."""
        if notice.kind is FeedNoticeKind.GAP and not self._is_primary():
            self._intake.lose(notice.ts_from, notice.ts_to)
        else:
            self._intake.heed(notice)
