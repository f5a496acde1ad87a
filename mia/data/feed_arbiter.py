"""One tape from two feeds of the same contract.

At any time one feed is followed, trade by trade as it comes; the other is kept ready. The tape goes
over from one to the other between two seconds, or within one if the feed that was followed breaks
off there: of that second, what the other has beyond what was handed out is added. Price and size
tell trades of one second apart, as often as they occur, so a trade that both have is never handed
out twice. This holds as long as both feeds put a trade into the same second of the exchange's time,
whatever they know of its fractions.
"""

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

import numpy as np

from mia.core.base_types import TradeBlock
from mia.core.market_feed import FeedNotice, FeedNoticeKind, ReceivedTrades
from mia.data.feed_switches import FeedDoubt, FeedSwitch, SwitchReason
from mia.data.feed_watch import SECOND_NS, FeedComparison, WatchedFeed, by_second, selected


@dataclass(frozen=True, slots=True)
class ArbiterLimits:
    """When a feed is given up.

    Attributes
    ----------
    age_s : float
        How long the other feed may have had trades that it has not.
    silent_seconds : int
        Seconds in succession with trades of the other feed and none of its own.
    apart_ticks : int
        Distance of prices within a second that is still agreement.
    apart_seconds : int
        Seconds in succession with a greater one.
    settle_s : float
        How long a feed is waited for at a boundary that was planned.
    back_s : float
        How long the primary feed must be well before it is followed again.
    dwell_s : float
        How long after a switch no other one follows, but for a lost connection.
    hold_s : float
        How much of the feed that is not followed is kept.
    """

    age_s: float = 3.0
    silent_seconds: int = 3
    apart_ticks: int = 4
    apart_seconds: int = 3
    settle_s: float = 1.0
    back_s: float = 60.0
    dwell_s: float = 5.0
    hold_s: float = 120.0


class FeedArbiter:
    """Follows the primary feed while it is well, else the secondary one.

    Everything it hands out is in time order. It takes every instant as an argument and needs no
    thread; whoever runs it calls `beat` a few times a second.

    Parameters
    ----------
    contract : str
        Trades of another one are passed over.
    primary, secondary : str
        Names of the feeds.
    tell : callable
        Told of each switch, once, and of doubt.
    limits : ArbiterLimits
    numbered : collection of str
        Feeds of which time and number tell a trade, so that one that is sent again is known.

    Attributes
    ----------
    doubted : bool
        The prices are apart and it is not known who is right: nothing that adds risk should happen.
    counts : Counter
        Trades passed over: ``late``, ``repeated``, ``both`` (had from the other feed) and
        ``contract``; those ``raised`` got the time of the trade before them.
    """

    def __init__(
        self,
        contract: str,
        primary: str,
        secondary: str,
        tell: Callable[[FeedSwitch | FeedDoubt], None],
        limits: ArbiterLimits | None = None,
        numbered: Collection[str] = (),
    ) -> None:
        if primary == secondary:
            raise ValueError(f"both feeds are named {primary}: their names must differ")
        self.contract = contract
        self._limits = limits or ArbiterLimits()
        near = self._limits.apart_ticks
        hold_s = self._limits.hold_s
        self._feeds = {
            name: WatchedFeed(name, near, name in numbered, hold_s) for name in (primary, secondary)
        }
        self._primary = self._followed = self._feeds[primary]
        self._other = self._feeds[secondary]
        self._tell = tell
        self._comparison = FeedComparison(
            (primary, self._primary.watch), (secondary, self._other.watch)
        )
        self._second = 0
        self._newest = 0
        self._given: Counter[tuple[int, int]] = Counter()
        self._kind = ""
        self._apart = self._together = 0
        self._switched_at = -(2**63)
        self._planned: tuple[int, int, int] | None = None
        self.doubted = False
        self.counts: Counter[str] = Counter()

    @property
    def followed(self) -> str:
        """Name of the feed that is followed."""
        return self._followed.name

    @property
    def newest(self) -> int:
        """Exchange time of the newest trade handed out, ns UTC; 0 before the first."""
        return self._newest

    def on_trades(self, name: str, received: ReceivedTrades, now: int) -> list[TradeBlock]:
        """Take trades of a feed; return what is to be applied now.

        Parameters
        ----------
        name : str
            Of the feed.
        received : ReceivedTrades
            Numbers within equal times tell repeated trades, if any is not 0.
        now : int
            ns UTC.
        """
        feed = self._feeds[name]
        if received.block.contract != self.contract:
            self.counts["contract"] += len(received.block)
            return []
        out: list[TradeBlock] = []
        numbers = received.seq
        seconds = received.block.ts_event // SECOND_NS
        for second, block in by_second(received.block):
            part = feed.fresh(second, block, numbers[seconds == second])
            self.counts["repeated"] += len(block) - len(part)
            if not len(part):
                continue
            feed.take(second, part, now)
            planned = self._planned
            if feed is self._followed and (planned is None or second < planned[0]):
                out += self._hand_out(feed, second, part)
            else:
                feed.kept.append((second, part))
        self._other.trim(self._second)
        return out + self.beat(now)

    def on_notice(self, name: str, notice: FeedNotice, now: int) -> list[TradeBlock]:
        """Take a notice of a feed; return what is to be applied now."""
        feed = self._feeds[name]
        if notice.kind is FeedNoticeKind.LINK_UP:
            feed.up = True
        elif notice.kind is FeedNoticeKind.LINK_DOWN:
            feed.up = False
        elif notice.kind is not FeedNoticeKind.GAP:
            return []
        feed.ill_at = max(feed.ill_at, now)
        # Nothing before its next whole second is complete.
        feed.since = 0
        if feed is not self._followed or notice.kind is FeedNoticeKind.LINK_UP:
            return self.beat(now)
        reason = SwitchReason.GAP if notice.kind is FeedNoticeKind.GAP else SwitchReason.LINK
        return self._give_up(reason, notice.text, now)

    def beat(self, now: int) -> list[TradeBlock]:
        """Judge the feeds; return what a switch hands out."""
        out = self._compare(now)
        if self._planned is not None:
            out += self._at_boundary(now)
        elif self._is_behind(self._followed, self._other, now):
            text = f"the other has had trades that it has not for {self._limits.age_s:g} s"
            out += self._give_up(SwitchReason.AGE, text, now)
        if self._is_behind(self._other, self._followed, now):
            self._other.ill_at = max(self._other.ill_at, now)
        if self._planned is None and self._followed is not self._primary:
            well = (
                self._primary.up and now - self._primary.ill_at >= self._limits.back_s * SECOND_NS
            )
            if well and self._primary.watch.newest and not self._rests(now) and not self.doubted:
                newest = max(feed.watch.newest for feed in self._feeds.values())
                deadline = now + round((2 + self._limits.settle_s) * SECOND_NS)
                self._planned = newest + 2, deadline, now
        return out

    def _is_behind(self, feed: WatchedFeed, other: WatchedFeed, now: int) -> bool:
        # By the clock: where trades are rare, one that comes first says nothing of the other feed.
        return other.ahead_for(feed, now) > self._limits.age_s * SECOND_NS

    def _rests(self, now: int) -> bool:
        return now - self._switched_at < self._limits.dwell_s * SECOND_NS

    def _compare(self, now: int) -> list[TradeBlock]:
        limits = self._limits
        out: list[TradeBlock] = []
        for finding in self._comparison.findings():
            for feed in self._feeds.values():
                feed.silent = feed.silent + 1 if finding.silent == feed.name else 0
                if feed.silent >= limits.silent_seconds:
                    feed.ill_at = max(feed.ill_at, now)
                    if feed is self._followed:
                        text = f"no trade in {feed.silent} seconds in which the other traded"
                        feed.silent = 0
                        out += self._give_up(SwitchReason.GAP, text, now)
            if finding.silent:
                continue
            if finding.apart > limits.apart_ticks:
                self._apart, self._together = self._apart + 1, 0
            else:
                self._apart, self._together = 0, self._together + 1
            if self._apart >= limits.apart_seconds and not self.doubted:
                out += self._disagree(finding.second, finding.apart, now)
            if self.doubted and self._together >= limits.apart_seconds:
                self.doubted = False
                self._tell(FeedDoubt(now, False, "the prices of both feeds meet again"))
        return out

    def _disagree(self, second: int, apart: int, now: int) -> list[TradeBlock]:
        """Switch if only the feed that is followed has left its own quotes; else doubt both."""
        ours, theirs = self._followed.watch.at(second), self._other.watch.at(second)
        text = f"prices are {apart} ticks apart in {self._apart} seconds"
        for here, there, feed in (
            (ours, theirs, self._followed),
            (theirs, ours, self._other),
        ):
            astray = here is not None and here.quoted > 0 and here.inside == 0
            sound = there is not None and there.quoted > 0 and there.inside == there.quoted
            if astray and sound:
                feed.ill_at = max(feed.ill_at, now)
                if feed is self._other:
                    return []
                return self._give_up(SwitchReason.DISAGREEMENT, text, now)
        self.doubted = True
        self._tell(FeedDoubt(now, True, text))
        return []

    def _give_up(self, reason: SwitchReason, text: str, now: int) -> list[TradeBlock]:
        """Go over to the other feed if it is any better."""
        left, taken = self._followed, self._other
        left.ill_at = max(left.ill_at, now)
        behind = self._is_behind(taken, left, now)
        lost = not left.up and taken.up
        if not taken.up or not taken.watch.newest or (behind and not lost):
            return []
        if self._rests(now) and not lost:
            return []
        self._planned = None
        return self._go_over(reason, text, now, *self._broken_off(taken))

    def _broken_off(self, taken: WatchedFeed) -> tuple[int, bool]:
        """Return from when on `taken` counts if the other breaks off here, and if it is whole."""
        kinds = {block.kind for _, block in list(taken.kept)[-1:]} | {self._kind}
        same = len(kinds - {""}) <= 1
        whole = same and 0 < taken.since <= self._second
        # What is a fill here and an order there cannot be told apart: leave that second.
        return (self._second if same or not self._second else self._second + 1), whole

    def _at_boundary(self, now: int) -> list[TradeBlock]:
        """Carry out a switch that was planned, or call it off."""
        assert self._planned is not None
        boundary, deadline, since = self._planned
        active, target = self._followed, self._other
        if not target.up or self._is_behind(target, active, now) or target.ill_at >= since:
            self._planned = None
            return self._drain(active)
        if active.watch.newest < boundary and now < deadline:
            return []
        self._planned = None
        text = f"well for {self._limits.back_s:g} s"
        whole = 0 < target.since <= boundary
        if active.watch.newest < boundary:
            # It has fallen silent before: what the other has of that time must not be passed over.
            boundary, whole = self._broken_off(target)
        return self._go_over(SwitchReason.RECOVERED, text, now, boundary, whole)

    def _go_over(
        self, reason: SwitchReason, text: str, now: int, boundary: int, whole: bool
    ) -> list[TradeBlock]:
        left, taken = self._followed, self._other
        self._followed, self._other = taken, left
        if boundary > self._second:
            self._enter(boundary)
        self._switched_at = now
        place = boundary * SECOND_NS
        self._tell(FeedSwitch(now, reason, left.name, taken.name, place, whole, text))
        return self._drain(taken)

    def _drain(self, feed: WatchedFeed) -> list[TradeBlock]:
        """Hand out what was kept of a feed that is followed from now on."""
        kept = sorted(feed.kept, key=lambda item: item[0])
        feed.kept.clear()
        out: list[TradeBlock] = []
        for second, block in kept:
            if second >= self._second:
                out += self._hand_out(feed, second, block)
        return out

    def _enter(self, second: int) -> None:
        self._second = second
        self._given.clear()
        for feed in self._feeds.values():
            feed.seen.clear()

    def _hand_out(self, feed: WatchedFeed, second: int, block: TradeBlock) -> list[TradeBlock]:
        """Pass trades of one second on, without those that the other feed gave before."""
        if second < self._second:
            self.counts["late"] += len(block)
            return []
        if second > self._second:
            self._enter(second)
        self._kind = block.kind
        prints = zip(block.price.tolist(), block.size.tolist(), strict=True)
        new = []
        for k, one in enumerate(prints):
            # The union of what both feeds say: a print counts as often as the one has it that has
            # it more often.
            feed.seen[one] += 1
            if feed.seen[one] > self._given[one]:
                self._given[one] += 1
                new.append(k)
        if len(new) < len(block):
            self.counts["both"] += len(block) - len(new)
            if not new:
                return []
            block = selected(block, np.array(new, np.int64))
        times = np.maximum(np.maximum.accumulate(block.ts_event), self._newest)
        raised = int((times != block.ts_event).sum())
        if raised:
            self.counts["raised"] += raised
            block = replace(block, ts_event=times)
        self._newest = int(times[-1])
        return [block]
