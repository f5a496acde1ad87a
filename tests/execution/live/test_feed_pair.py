"""Two feeds of which one is followed, on their way into a session."""

from typing import Any

import numpy as np
import pytest
from data.test_feed_arbiter import NS, START, Trade, received, tape

from mia.core.base_types import TradeBlock
from mia.core.market_feed import FeedNotice, FeedNoticeKind, ReceivedTrades
from mia.data.feed_arbiter import ArbiterLimits
from mia.data.feed_switches import FeedDoubt, FeedSwitch, SwitchReason
from mia.execution.live.feed_pair import FeedPair, FeedSide, PairTelling

NAMES = ("first", "second")
LIMITS = ArbiterLimits(age_s=3.0, back_s=5.0, dwell_s=2.0)


class Sink:
    """Keeps what a pair delivers."""

    def __init__(self) -> None:
        self.blocks: list[TradeBlock] = []
        self.notices: list[FeedNotice] = []

    def take(self, batch: ReceivedTrades) -> None:
        self.blocks.append(batch.block)

    def on_notice(self, notice: FeedNotice) -> None:
        self.notices.append(notice)

    def times(self) -> list[int]:
        return [ts for block in self.blocks for ts in block.ts_event.tolist()]


class Desk:
    """A pair, its two feeds, and a clock that they set."""

    def __init__(self, names: tuple[str, str] = NAMES, sink: Any = None) -> None:
        self.now, self.joins = START, False
        self.sink = sink or Sink()
        self.events: list[tuple[str, Any]] = []
        self.lost: list[tuple[int, int]] = []
        telling = PairTelling(
            lambda topic, event: self.events.append((topic, event)),
            lambda since, until: self.lost.append((since, until)),
        )
        self.pair = FeedPair(
            names, "ESH25", self.sink, telling, LIMITS, (), lambda: self.joins, lambda: self.now
        )
        self.sides = {name: FeedSide(self.pair, name) for name in names}

    def trades(self, trades: list[Trade], *names: str) -> None:
        for trade in trades:
            self.now = max(self.now, trade[0])
            for name in names or NAMES:
                self.sides[name].take(received([trade], whole=False))

    def notice(self, name: str, kind: FeedNoticeKind, *span: int) -> None:
        self.sides[name].on_notice(FeedNotice(kind, "it was said", *span))

    def pass_time(self, seconds: float) -> None:
        for _ in range(round(seconds * 4)):
            self.now += NS // 4
            self.pair.beat()

    @property
    def switches(self) -> list[FeedSwitch]:
        return [event for topic, event in self.events if topic == "feed_switch"]


def times(trades: list[Trade]) -> list[int]:
    return [trade[0] for trade in trades]


def test_one_of_two_is_delivered_and_a_whole_switch_loses_nothing() -> None:
    desk, trades = Desk(), tape(30)
    desk.trades(trades[:60])
    desk.trades(trades[60:], "second")
    desk.pass_time(4)
    assert desk.sink.times() == times(trades)
    (switch,) = desk.switches
    assert (switch.left, switch.taken, switch.reason) == ("first", "second", SwitchReason.AGE)
    assert desk.pair.followed == "second"
    assert desk.lost == []


def test_a_switch_to_a_feed_that_came_too_late_is_told_with_the_times_between() -> None:
    desk, trades = Desk(), tape(30)
    desk.trades(trades[:60], "first")
    desk.trades(trades[70:], "second")
    desk.pass_time(4)
    (switch,) = desk.switches
    assert not switch.whole
    assert desk.lost == [(trades[59][0], trades[70][0])]


def test_while_trades_are_joined_with_history_the_first_feed_alone_counts() -> None:
    desk, trades = Desk(), tape(30)
    desk.joins = True
    desk.trades(trades[:40])
    desk.trades(trades[40:60], "second")
    desk.pass_time(10)
    assert desk.sink.times() == times(trades[:40])
    assert desk.events == []
    desk.joins = False
    # Seconds that the first feed had begun before are its own: the second cannot double them.
    desk.trades(trades[60:], "first", "second")
    assert desk.sink.times() == times(trades[:40] + trades[60:])


def test_a_first_feed_that_is_still_busy_with_its_past_is_waited_for() -> None:
    desk, trades = Desk(), tape(40)
    desk.trades(trades[:16], "second")
    assert desk.sink.blocks == []
    desk.trades(trades, "first")
    assert desk.sink.times() == times(trades)
    assert desk.switches == []


def test_a_first_feed_that_never_comes_is_left() -> None:
    desk, trades = Desk(), tape(40)
    desk.trades(trades, "second")
    desk.pass_time(4)
    assert [switch.taken for switch in desk.switches] == ["second"]
    # 6 s were waited for it, and 3 s more are its patience; nothing of those 3 s is passed over.
    assert times(trades)[24:] == desk.sink.times()


@pytest.mark.parametrize("name", NAMES)
def test_a_notice_is_told_once_and_passed_on_only_of_the_feed_that_stays_followed(name) -> None:
    desk, trades = Desk(), tape(10)
    desk.trades(trades)
    desk.notice(name, FeedNoticeKind.REFUSED)
    assert [(topic, event[0]) for topic, event in desk.events] == [("feed", name)]
    assert len(desk.sink.notices) == (name == "first")


def test_a_gap_is_answered_by_the_other_feed_or_passed_on_if_it_is_no_better() -> None:
    desk, trades = Desk(), tape(20)
    desk.trades(trades)
    desk.notice("first", FeedNoticeKind.GAP, 1, 2)
    assert [switch.reason for switch in desk.switches] == [SwitchReason.GAP]
    assert desk.sink.notices == []
    other = Desk()
    other.trades(trades)
    other.notice("second", FeedNoticeKind.LINK_DOWN)
    other.notice("first", FeedNoticeKind.GAP, 1, 2)
    assert other.switches == []
    assert [notice.kind for notice in other.sink.notices] == [FeedNoticeKind.GAP]


def test_a_fault_is_that_of_the_feed_that_is_followed() -> None:
    desk, trades = Desk(), tape(20)
    desk.trades(trades[:40])
    desk.notice("second", FeedNoticeKind.LINK_DOWN)
    assert desk.pair.fault() == ""
    desk.notice("first", FeedNoticeKind.LINK_DOWN)
    assert desk.pair.fault() == "first: it was said"
    desk.notice("first", FeedNoticeKind.LINK_UP)
    assert desk.pair.fault() == ""


def test_prices_that_are_apart_are_a_fault_until_they_meet_again() -> None:
    desk, trades = Desk(), tape(40)
    apart = [(ts, seq, price + 40, size) for ts, seq, price, size in trades]
    for k, trade in enumerate(trades):
        desk.trades([trade], "first")
        desk.trades([apart[k] if 40 <= k < 100 else trade], "second")
        if k == 99:
            assert desk.pair.fault() == "prices of first and second are apart"
    assert desk.pair.fault() == ""
    doubts = [event.doubted for _, event in desk.events if isinstance(event, FeedDoubt)]
    assert doubts == [True, False]


def test_a_pair_stands_behind_another_feed_as_one() -> None:
    outer = Desk(("a", "b+c"))
    inner = Desk(("b", "c"), FeedSide(outer.pair, "b+c"))
    trades = tape(60)

    def play(part: list[Trade], *names: str) -> None:
        for trade in part:
            outer.now = inner.now = max(outer.now, trade[0])
            for name in names:
                desk = outer if name == "a" else inner
                desk.sides[name].take(received([trade], whole=False))
            inner.pair.beat()
            outer.pair.beat()

    play(trades[:80], "a", "b", "c")
    play(trades[80:160], "b", "c")
    play(trades[160:], "c")
    for _ in range(20):
        outer.now = inner.now = outer.now + NS // 4
        inner.pair.beat()
        outer.pair.beat()
    assert outer.sink.times() == times(trades)
    assert [switch.taken for switch in outer.switches] == ["b+c"]
    assert [switch.taken for switch in inner.switches] == ["c"]
    assert outer.lost == inner.lost == []
    assert (np.diff(outer.sink.times()) > 0).all()


def test_after_a_roll_the_other_contract_is_compared_anew() -> None:
    desk, trades = Desk(), tape(20)
    desk.trades(trades[:40])
    desk.trades(trades[40:60], "second")
    desk.pass_time(4)
    assert desk.pair.followed == "second"
    desk.pair.start_contract("ESM25")
    assert desk.pair.followed == "first"
