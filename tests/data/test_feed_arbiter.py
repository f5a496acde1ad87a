"""Two feeds that lose, repeat, reorder and stall, and the one tape that comes of them."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mia.core.base_types import MISSING_PRICE, TradeBlock
from mia.core.market_feed import FeedNotice, FeedNoticeKind, ReceivedTrades
from mia.data.feed_arbiter import ArbiterLimits, FeedArbiter
from mia.data.feed_switches import FeedDoubt, FeedSwitch, SwitchReason

NS = 10**9
START = 1_741_600_000 * NS
NAMES = ("fine", "whole")
LIMITS = ArbiterLimits(back_s=5.0, dwell_s=2.0)

Trade = tuple[int, int, int, int]
"""Time, number within equal times, price, size."""


def received(trades: list[Trade], *, whole: bool, kind: str = "summary") -> ReceivedTrades:
    ts, seq, price, size = (np.array(column) for column in zip(*trades, strict=True))
    if whole:
        ts, seq = ts // NS * NS, np.zeros_like(seq)
    count = len(ts)
    block = TradeBlock(
        "ESH25",
        ts.astype(np.int64),
        price.astype(np.int32),
        size.astype(np.int32),
        np.ones(count, np.int8),
        price.astype(np.int32) - 1,
        price.astype(np.int32),
        kind,
    )
    return ReceivedTrades(block, seq.astype(np.int32), int(ts[-1]))


class Desk:
    """An arbiter, everything that it handed out, and what it told."""

    def __init__(self, limits: ArbiterLimits = LIMITS) -> None:
        self.told: list[FeedSwitch | FeedDoubt] = []
        self.blocks: list[TradeBlock] = []
        self.arbiter = FeedArbiter("ESH25", *NAMES, self.told.append, limits, numbered={"fine"})
        self.now = START

    def trades(self, name: str, trades: list[Trade], kind: str = "summary") -> None:
        if trades:
            self.now = max(self.now, trades[-1][0])
            batch = received(trades, whole=name == "whole", kind=kind)
            self.blocks += self.arbiter.on_trades(name, batch, self.now)

    def both(self, trades: list[Trade]) -> None:
        for trade in trades:
            for name in NAMES:
                self.trades(name, [trade])

    def notice(self, name: str, kind: FeedNoticeKind) -> None:
        self.blocks += self.arbiter.on_notice(name, FeedNotice(kind, "it was said"), self.now)

    def pass_time(self, seconds: float) -> None:
        for _ in range(round(seconds * 4)):
            self.now += NS // 4
            self.blocks += self.arbiter.beat(self.now)

    def switches(self) -> list[FeedSwitch]:
        return [event for event in self.told if isinstance(event, FeedSwitch)]

    def out(self) -> list[tuple[int, int, int]]:
        """Second, price and size of everything handed out."""
        found = []
        for block in self.blocks:
            columns = block.ts_event // NS, block.price, block.size
            found += zip(*(column.tolist() for column in columns), strict=True)
        return found

    def times(self) -> list[int]:
        return [ts for block in self.blocks for ts in block.ts_event.tolist()]


def by_prints(trades: list[Trade]) -> list[tuple[int, int, int]]:
    return [(ts // NS, price, size) for ts, _, price, size in trades]


def tape(seconds: int, each: int = 4, price: int = 20_000) -> list[Trade]:
    return [
        (START + s * NS + k * (NS // each), 0, price + (s + k) % 3, 1 + k)
        for s in range(seconds)
        for k in range(each)
    ]


def test_the_primary_feed_is_followed_and_the_other_adds_nothing() -> None:
    desk, trades = Desk(), tape(30)
    for k in range(0, len(trades), 3):
        desk.both(trades[k : k + 3])
    assert desk.out() == by_prints(trades)
    assert desk.times() == [trade[0] for trade in trades]
    assert desk.told == []


@pytest.mark.parametrize("cut", [40, 41, 42, 43])
@pytest.mark.parametrize("primary", NAMES)
def test_a_stall_within_a_second_loses_and_doubles_nothing(cut: int, primary: str) -> None:
    desk, trades = Desk(), tape(30)
    other = NAMES[1 - NAMES.index(primary)]
    if primary != NAMES[0]:
        desk.arbiter = FeedArbiter("ESH25", primary, other, desk.told.append, LIMITS)
    desk.both(trades[:20])
    desk.trades(primary, trades[20:cut])
    for trade in trades[20:]:
        desk.trades(other, [trade])
    assert sorted(desk.out()) == sorted(by_prints(trades))
    (switch,) = desk.switches()
    assert (switch.reason, switch.left, switch.taken) == (SwitchReason.AGE, primary, other)
    assert switch.whole
    assert switch.boundary == trades[cut - 1][0] // NS * NS
    assert desk.times() == sorted(desk.times())


def test_a_lost_link_switches_at_once_and_the_primary_comes_back_when_it_is_well() -> None:
    desk, trades = Desk(), tape(60)
    for k, trade in enumerate(trades):
        if k == 42:
            desk.notice("fine", FeedNoticeKind.LINK_DOWN)
            assert desk.arbiter.followed == "whole"
        if k == 80:
            desk.notice("fine", FeedNoticeKind.LINK_UP)
        desk.trades("whole", [trade])
        if not 42 <= k < 80:
            desk.trades("fine", [trade])
        desk.blocks += desk.arbiter.beat(desk.now)
    assert sorted(desk.out()) == sorted(by_prints(trades))
    assert [(s.reason, s.taken, s.whole) for s in desk.switches()] == [
        (SwitchReason.LINK, "whole", True),
        (SwitchReason.RECOVERED, "fine", True),
    ]
    # What was handed out after the way back has fractions of a second again.
    assert desk.times()[-1] == trades[-1][0]


def test_a_feed_that_says_it_lost_trades_is_left() -> None:
    desk, trades = Desk(), tape(20)
    desk.both(trades[:30])
    desk.trades("whole", trades[30:38])
    desk.notice("fine", FeedNoticeKind.GAP)
    desk.both(trades[38:])
    assert sorted(desk.out()) == sorted(by_prints(trades))
    assert [s.reason for s in desk.switches()] == [SwitchReason.GAP, SwitchReason.RECOVERED]


def test_seconds_that_only_the_other_has_are_a_gap() -> None:
    desk, trades = Desk(), tape(40, each=2)
    for k, trade in enumerate(trades):
        second = k // 2
        if not 10 <= second < 13:
            desk.trades("fine", [trade])
        desk.trades("whole", [trade])
    # The hole is behind what was handed out: it stays, but nothing comes twice or late.
    assert [s.reason for s in desk.switches()][:1] == [SwitchReason.GAP]
    assert not Counter(desk.out()) - Counter(by_prints(trades))
    assert desk.times() == sorted(desk.times())


def test_a_silent_market_is_no_reason() -> None:
    desk = Desk()
    desk.both(tape(5))
    desk.pass_time(600)
    assert desk.told == []


def test_nothing_is_given_up_for_a_feed_that_is_worse() -> None:
    desk, trades = Desk(), tape(30)
    desk.both(trades[:20])
    desk.notice("whole", FeedNoticeKind.LINK_DOWN)
    desk.trades("fine", trades[20:60])
    desk.notice("fine", FeedNoticeKind.GAP)
    desk.notice("fine", FeedNoticeKind.LINK_DOWN)
    desk.notice("fine", FeedNoticeKind.LINK_UP)
    desk.trades("fine", trades[60:])
    assert desk.switches() == []
    assert desk.out() == by_prints(trades)


def shifted(trades: list[Trade], by: int) -> list[Trade]:
    return [(ts, seq, price + by, size) for ts, seq, price, size in trades]


def test_prices_that_are_apart_are_doubted_until_they_meet() -> None:
    desk, trades = Desk(), tape(30)
    for k in range(0, len(trades), 4):
        desk.trades("fine", trades[k : k + 4])
        apart = 40 if 40 <= k < 72 else 0
        desk.trades("whole", shifted(trades[k : k + 4], apart))
        assert desk.arbiter.doubted is (52 <= k < 84)
    doubts = [event for event in desk.told if isinstance(event, FeedDoubt)]
    assert [doubt.doubted for doubt in doubts] == [True, False]
    assert "40" in doubts[0].text or "38" in doubts[0].text
    assert desk.switches() == []


def test_the_feed_that_left_its_own_quotes_is_left() -> None:
    desk, trades = Desk(), tape(30)
    for k in range(0, len(trades), 4):
        part = trades[k : k + 4]
        desk.trades("whole", part)
        batch = received(part, whole=False)
        if k >= 40:
            batch.block.price[:] += 40
        desk.now = max(desk.now, part[-1][0])
        desk.blocks += desk.arbiter.on_trades("fine", batch, desk.now)
    assert [(s.reason, s.taken) for s in desk.switches()] == [(SwitchReason.DISAGREEMENT, "whole")]
    assert not desk.arbiter.doubted


def test_fills_and_orders_are_not_mixed_within_a_second() -> None:
    desk, trades = Desk(), tape(30)
    desk.both(trades[:20])
    desk.trades("fine", trades[20:42])
    for trade in trades[20:]:
        desk.trades("whole", [trade], kind="fill")
    (switch,) = desk.switches()
    assert (switch.whole, switch.boundary) == (False, START + 11 * NS)
    seconds = {second - START // NS for second, _, _ in desk.out()}
    assert seconds == set(range(30))
    assert not Counter(desk.out()) - Counter(by_prints(trades))


def test_another_contract_is_passed_over() -> None:
    desk = Desk()
    batch = received(tape(1), whole=False)
    other = TradeBlock("ESM25", *(getattr(batch.block, n) for n in batch.block.__slots__[1:7]))
    assert desk.arbiter.on_trades("fine", ReceivedTrades(other, batch.seq, 1), 1) == []
    assert desk.arbiter.counts["contract"] == 4


def test_unknown_quotes_are_no_evidence() -> None:
    desk, trades = Desk(), tape(30)
    for k in range(0, len(trades), 4):
        part = trades[k : k + 4]
        for name, by in (("whole", 0), ("fine", 40 if k >= 40 else 0)):
            batch = received(shifted(part, by), whole=name == "whole")
            batch.block.bid_price[:] = MISSING_PRICE
            desk.blocks += desk.arbiter.on_trades(name, batch, part[-1][0])
    assert desk.arbiter.doubted
    assert desk.switches() == []


trades_of = st.lists(
    st.tuples(
        st.integers(0, 700_000_000),  # ns after the one before
        st.integers(20_000, 20_002),
        st.integers(1, 2),
    ),
    min_size=1,
    max_size=120,
)


def as_tape(steps: list[tuple[int, int, int]]) -> list[Trade]:
    ts, last, number, out = START, -1, 0, []
    for step, price, size in steps:
        ts += step // 1_000_000 * 1_000_000
        number = number + 1 if ts == last else 0
        last = ts
        out.append((ts, number, price, size))
    return out


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[list[Trade], list[tuple[str, object]]]:
    """A tape, and how two feeds tell it: with losses, repeats, swaps, stalls and broken links."""
    trades = as_tape(draw(trades_of))
    events: list[tuple[int, int, str, object]] = []
    for name in NAMES:
        kept = [t for t in trades if not draw(st.booleans()) or draw(st.integers(0, 3))]
        delay, k, order = 0, 0, 0
        while k < len(kept):
            size = draw(st.integers(1, 9))
            batch = kept[k : k + size]
            k += size
            what = draw(st.sampled_from(["", "", "", "stall", "swap", "repeat", "down", "gap"]))
            if what == "stall":
                delay += draw(st.integers(0, 8)) * NS
            elif what == "swap":
                batch = draw(st.permutations(batch))
            due = batch[-1][0] + delay
            if what == "down":
                events.append((due, order, name, FeedNoticeKind.LINK_DOWN))
                events.append((due + draw(st.integers(0, 5)) * NS, order, name, "up"))
            elif what == "gap":
                events.append((due, order, name, FeedNoticeKind.GAP))
            events.append((due, order + 1, name, list(batch)))
            if what == "repeat" and name == "fine":
                # Whole seconds without a number cannot tell one sent again from one like it.
                events.append((due, order + 2, name, list(kept[max(0, k - 20) : k])))
            order += 3
            delay = max(0, delay - NS)
    events.sort(key=lambda event: event[:2])
    return trades, [(name, what) for _, _, name, what in events]


def play(desk: Desk, events: list[tuple[str, object]]) -> None:
    for name, what in events:
        if isinstance(what, list):
            desk.trades(name, what)
        else:
            kind = FeedNoticeKind.LINK_UP if what == "up" else what
            desk.notice(name, kind)  # type: ignore[arg-type]
        desk.blocks += desk.arbiter.beat(desk.now)


@settings(max_examples=150)
@given(deliveries())
def test_no_trade_comes_twice_whatever_the_feeds_do(case) -> None:
    trades, events = case
    desk = Desk(ArbiterLimits(back_s=2.0, dwell_s=0.5, age_s=1.0, silent_seconds=2))
    play(desk, events)
    desk.pass_time(30)
    # Per second and print, no more than the market had: a copy would be one too many.
    assert not Counter(desk.out()) - Counter(by_prints(trades))
    assert desk.times() == sorted(desk.times())
    # One event for each switch, and each from where the last one led.
    places = ["fine", *(switch.taken for switch in desk.switches())]
    assert all(a == s.left != s.taken for a, s in zip(places, desk.switches(), strict=False))
    assert desk.arbiter.followed == places[-1]


@settings(max_examples=100)
@given(trades_of, st.integers(0, 120), st.booleans(), st.integers(1, 9))
def test_a_feed_that_dies_anywhere_is_made_up_for(steps, dies, notice, size) -> None:
    trades = as_tape(steps)
    desk = Desk()
    for k in range(0, len(trades), size):
        batch = trades[k : k + size]
        desk.trades("whole", batch)
        desk.trades("fine", [t for t in batch if trades.index(t) < dies])
        if notice and k <= dies < min(k + size, len(trades)):
            desk.notice("fine", FeedNoticeKind.LINK_DOWN)
    if dies < len(trades):
        # At the latest a link that is known to be lost brings out what the other has.
        desk.notice("fine", FeedNoticeKind.LINK_DOWN)
    assert sorted(desk.out()) == sorted(by_prints(trades))
    assert len(desk.switches()) == (dies < len(trades))


def test_a_feed_that_dies_while_the_primary_is_about_to_be_taken_up_again_loses_nothing() -> None:
    desk, trades = Desk(), tape(40)
    desk.both(trades[:20])
    for trade in trades[20:40]:
        desk.trades("whole", [trade])
    desk.trades("fine", trades[20:40])
    # From second 10 on both are well; the one that is followed dies some seconds later.
    for k in range(40, len(trades)):
        desk.trades("fine", [trades[k]])
        if k < 62:
            desk.trades("whole", [trades[k]])
        desk.pass_time(0.25)
    desk.pass_time(10)
    assert [switch.taken for switch in desk.switches()] == ["whole", "fine"]
    assert desk.switches()[-1].whole
    assert Counter(desk.out()) == Counter(by_prints(trades))


def test_where_trades_are_rare_the_clock_tells_that_a_feed_is_silent() -> None:
    desk = Desk()
    few = [(START + 100 * k * NS, 0, 20_000 + k, 1) for k in range(4)]
    desk.both(few[:2])
    desk.pass_time(90)
    # A silent market is no reason.
    assert desk.switches() == []
    desk.now = few[2][0]
    desk.trades("whole", few[2:3])
    desk.pass_time(2.5)
    assert desk.switches() == []
    desk.pass_time(1.0)
    (switch,) = desk.switches()
    assert (switch.reason, switch.taken, switch.whole) == (SwitchReason.AGE, "whole", True)
    assert desk.out() == by_prints(few[:3])


def test_what_the_new_feed_tells_late_is_left_out() -> None:
    desk, trades = Desk(), tape(20)
    desk.both(trades[:20])
    desk.trades("fine", trades[20:46])
    desk.notice("fine", FeedNoticeKind.LINK_DOWN)
    assert desk.arbiter.followed == "whole"
    for trade in trades[20:]:
        desk.trades("whole", [trade])
    assert sorted(desk.out()) == sorted(by_prints(trades))
    assert desk.arbiter.counts["late"] == 24
    assert desk.arbiter.counts["both"] == 2


@pytest.mark.parametrize("every", [5, 6, 7])
def test_links_that_break_in_turn_within_a_second_double_nothing(every: int) -> None:
    # Equal prints in every second, so that a count that is not forgotten shows.
    trades = [(ts, 0, 20_000, 1) for ts, _, _, _ in tape(40)]
    desk = Desk()
    for k, trade in enumerate(trades):
        desk.both([trade])
        if k and k % every == 0:
            worse = desk.arbiter.followed
            desk.notice(worse, FeedNoticeKind.LINK_DOWN)
            assert desk.arbiter.followed != worse
            desk.notice(worse, FeedNoticeKind.LINK_UP)
    assert desk.out() == by_prints(trades)
    assert len(desk.switches()) == (len(trades) - 1) // every


def test_a_way_back_is_called_off_when_the_primary_fails_again() -> None:
    desk, trades = Desk(), tape(60)
    desk.both(trades[:42])
    desk.notice("fine", FeedNoticeKind.LINK_DOWN)
    desk.notice("fine", FeedNoticeKind.LINK_UP)
    for k, trade in enumerate(trades[42:], 42):
        desk.trades("whole", [trade])
        if k < 62 or k >= 68:
            desk.trades("fine", [trade])
        if desk.arbiter._planned is not None and k < 68:
            desk.notice("fine", FeedNoticeKind.GAP)
            assert desk.arbiter._planned is None
    assert sorted(desk.out()) == sorted(by_prints(trades))
    assert [s.reason for s in desk.switches()] == [SwitchReason.LINK, SwitchReason.RECOVERED]
    # Only after it was well for long enough, counted from the second failure.
    assert desk.switches()[1].boundary >= trades[68][0] // NS * NS + 5 * NS - 2 * NS


def test_a_planned_way_back_hands_out_what_was_held_if_it_is_called_off() -> None:
    desk, trades = Desk(), tape(60)
    desk.both(trades[:42])
    desk.notice("fine", FeedNoticeKind.LINK_DOWN)
    desk.notice("fine", FeedNoticeKind.LINK_UP)
    k = 42
    while desk.arbiter._planned is None:
        desk.both([trades[k]])
        k += 1
    # The other feed runs beyond the boundary at once; then the primary is lost for good.
    desk.trades("fine", trades[k : k + 3])
    desk.notice("fine", FeedNoticeKind.LINK_DOWN)
    desk.trades("whole", trades[k:])
    assert sorted(desk.out()) == sorted(by_prints(trades))
    assert desk.arbiter.followed == "whole"


def test_reasons_are_the_words_that_journals_of_earlier_runs_have():
    assert [reason.value for reason in SwitchReason] == [
        "AGE",
        "LINK",
        "GAP",
        "DISAGREEMENT",
        "RECOVERED",
    ]
