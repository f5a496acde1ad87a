"""The IQFeed clients against a simulated IQConnect over TCP."""

import asyncio
import time

import numpy as np
import pytest
from iqfeed_server import IQConnect
from sierra_writer import COLUMNS, SetClock, collected, market_block, part

from mia.core.iqfeed.depth import IQFeedDepth
from mia.core.iqfeed.history import IQFeedHistory
from mia.core.iqfeed_connector import IQFeedConnector
from mia.core.market_feed import FeedNoticeKind
from mia.errors import DataError, FormatError

NS = 1_000_000_000
BLOCK = part(market_block(trades=3000), slice(1200))
CLOCK = SetClock(int(BLOCK.ts_event[-1]) + NS)


def same(found: dict[str, np.ndarray], block) -> None:
    for name in COLUMNS:
        expected = getattr(block, name)
        if name == "ts_event":
            expected = expected // 1000 * 1000
        np.testing.assert_array_equal(found[name], expected, err_msg=name)


def run(server: IQConnect, client):
    async def play():
        async with server.running():
            return await asyncio.wait_for(client(server), 30)

    return asyncio.run(play())


async def watch(server: IQConnect, notices=None, stop=None, **options):
    feed = IQFeedConnector(
        {"@ESH25": "ESH25"},
        CLOCK,
        port=server.ports["level1"],
        retry_s=(0.01, 0.02),
        notify=[].append if notices is None else notices.append,
        **options,
    )
    batches = []
    async for batch in feed:
        batches.append(batch)
        if sum(len(b.block) for b in batches) >= (stop or len(server.block)):
            feed.close()
    return feed, batches


@pytest.mark.parametrize("chunk", [7, 100, 5000])
def test_what_comes_out_is_what_went_in(chunk):
    server = IQConnect(part(BLOCK, slice(300)) if chunk == 7 else BLOCK)
    server.chunk = chunk
    feed, batches = run(server, watch)
    same(collected(batches), server.block)
    assert feed.counts("ESH25").missing_volume == 0
    assert feed.counts("ESH25").trades == len(server.block)
    assert feed.quote("ESH25").bid_size == 12
    assert all(batch.ts_recv == CLOCK.time for batch in batches)
    assert server.received[:2] == [
        "S,SET PROTOCOL,6.2",
        "S,SELECT UPDATE FIELDS,Most Recent Trade,Most Recent Trade Size,Most Recent Trade Date,"
        "Most Recent Trade Time,Most Recent Trade Aggressor,Bid,Bid Size,Ask,Ask Size,"
        "Total Volume,Message Contents",
    ]


def test_after_a_lost_connection_the_symbol_is_watched_again_and_no_trade_comes_twice():
    server, notices = IQConnect(BLOCK), []
    server.drop_after = [100, 101, 600]
    _, batches = run(server, lambda s: watch(s, notices))
    same(collected(batches), BLOCK)
    assert server.connections == 4
    kinds = [notice.kind for notice in notices]
    assert kinds.count(FeedNoticeKind.LINK_DOWN) == kinds.count(FeedNoticeKind.GAP) == 3
    gap = next(notice for notice in notices if notice.kind is FeedNoticeKind.GAP)
    assert gap.ts_from == int(BLOCK.ts_event[99]) // 1000 * 1000
    assert gap.ts_to == CLOCK.time


def test_a_lost_link_of_iqconnect_to_its_server_is_told():
    server, notices = IQConnect(BLOCK), []
    server.extra = {
        50: ["S,SERVER DISCONNECTED,"],
        60: ["S,SERVER RECONNECT FAILED,"],
        70: ["S,SERVER CONNECTED,"],
        80: ["S,SERVER CONNECTED,"],
    }
    run(server, lambda s: watch(s, notices))
    assert [notice.kind for notice in notices] == ["LINK_UP", "LINK_DOWN", "LINK_UP", "GAP"]


def test_lines_that_cannot_be_read_are_told_and_spoil_nothing():
    server, notices = IQConnect(BLOCK), []
    server.extra = {5: ["Q,@ESH25,", "Q,@XX,1,2,3", "E,!SYNTAX_ERROR!,", "?,", "Q"]}
    _, batches = run(server, lambda s: watch(s, notices))
    same(collected(batches), BLOCK)
    refused = [n.text for n in notices if n.kind is FeedNoticeKind.REFUSED]
    assert any("refused 2 lines" in text for text in refused)
    assert any("!SYNTAX_ERROR!" in text for text in refused)


def test_a_symbol_that_is_not_known_ends_the_feed():
    server = IQConnect(BLOCK, symbol="@ESM25")
    with pytest.raises(DataError, match="does not know the symbol @ESH25"):
        run(server, watch)


def test_another_protocol_ends_the_feed():
    server = IQConnect(BLOCK, protocol="6.1")
    with pytest.raises(DataError, match=r"speaks protocol 6\.1, not 6\.2"):
        run(server, watch)


def test_silence_counts_as_a_lost_connection():
    server, notices = IQConnect(part(BLOCK, slice(20))), []

    async def client(server):
        feed = IQFeedConnector(
            {"@ESH25": "ESH25"},
            CLOCK,
            port=server.ports["level1"],
            silence_s=0.05,
            retry_s=(0.01, 0.02),
            notify=lambda notice: (notices.append(notice), len(notices) > 3 and feed.close()),
        )
        return [batch async for batch in feed]

    same(collected(run(server, client)), server.block)
    assert [notice.kind for notice in notices][:4] == ["LINK_UP", "LINK_DOWN", "LINK_UP", "GAP"]


def test_a_feed_waits_for_iqconnect_to_start():
    server, notices = IQConnect(part(BLOCK, slice(50))), []

    async def client(server):
        port, server.ports["level1"] = server.ports["level1"], 1
        task = asyncio.create_task(watch(server, notices))
        await asyncio.sleep(0.05)
        task.cancel()
        server.ports["level1"] = port
        return await watch(server)

    _, batches = run(server, client)
    same(collected(batches), server.block)
    assert [notice.kind for notice in notices] == [FeedNoticeKind.LINK_DOWN]


def history(server: IQConnect, **options) -> IQFeedHistory:
    return IQFeedHistory(port=server.ports["lookup"], **{"requests_per_s": 1e6} | options)


def columns_of(blocks):
    blocks = list(blocks)
    return {name: np.concatenate([getattr(b, name) for b in blocks]) for name in COLUMNS}


@pytest.mark.parametrize("page", [1, 7, 100, 5000])
def test_pages_of_history_make_the_whole_tape(page):
    block = part(BLOCK, slice(150)) if page == 1 else BLOCK
    # Several trades in one second, more than a small page.
    block = part(block, slice(None))
    block.ts_event[20:40] = block.ts_event[20] // NS * NS + np.arange(20) * 1000
    block.ts_event.sort()
    server = IQConnect(block)
    start, end = int(block.ts_event[0]), int(block.ts_event[-1]) + 1000

    async def client(server):
        lookup = history(server, page=page)
        blocks = [b async for b in lookup.ticks("@ESH25", "ESH25", start // 1000 * 1000, end)]
        lookup.close()
        return blocks

    same(columns_of(run(server, client)), block)
    asked = [text for text in server.received if text.startswith("HTT")]
    assert len(asked) > 1 or page == 5000
    assert server.connections == 1


def test_history_that_changes_between_two_pages_is_an_error():
    start, end = int(BLOCK.ts_event[0]), int(BLOCK.ts_event[-1]) + 1

    async def client(server):
        lookup = history(server, page=100)
        try:
            async for _ in lookup.ticks("@ESH25", "ESH25", start, end):
                # A correction takes out a trade of the second that the next page begins with.
                del server._lines[99]
        finally:
            lookup.close()

    with pytest.raises(DataError, match="changed while it was read: ask again"):
        run(IQConnect(BLOCK), client)


def test_a_span_of_history_is_cut_to_the_nanosecond():
    start, end = int(BLOCK.ts_event[101]) // 1000 * 1000, int(BLOCK.ts_event[300]) // 1000 * 1000

    async def client(server):
        lookup = history(server, page=40)
        blocks = [b async for b in lookup.ticks("@ESH25", "ESH25", start, end)]
        lookup.close()
        return blocks

    same(columns_of(run(IQConnect(BLOCK), client)), part(BLOCK, slice(101, 300)))


def test_newest_ticks_days_and_bars():
    server = IQConnect(BLOCK)

    async def client(server):
        lookup = history(server)
        answers = (
            await lookup.last_ticks("@ESH25", "ESH25", 30),
            await lookup.day_ticks("@ESH25", "ESH25", 5),
            await lookup.last_bars("@ESH25", "ESH25", 60, 10),
            await lookup.day_bars("@ESH25", "ESH25", 60, 5),
            await lookup.bars(
                "@ESH25", "ESH25", 60, int(BLOCK.ts_event[0]) // NS * NS - 60 * NS, CLOCK.time
            ),
        )
        lookup.close()
        return answers

    newest, days, last_bars, day_bars, bars = run(server, client)
    same(columns_of([newest]), part(BLOCK, slice(len(BLOCK) - 30, None)))
    same(columns_of([days]), BLOCK)
    assert len(last_bars) == 10
    np.testing.assert_array_equal(day_bars.t_open, bars.t_open)
    assert bars.volume.sum() == BLOCK.size.sum()
    assert bars.trades.sum() == len(BLOCK)
    assert bars.high.max() == BLOCK.price.max()
    assert bars.width_s == 60
    asked = [text for text in server.received if text.startswith("H")]
    assert asked[0] == "HTX,@ESH25,30,1,R1,2500"
    assert asked[1] == "HTD,@ESH25,5,,,,1,R2,2500"
    assert asked[2] == "HIX,@ESH25,60,10,1,R3,2500,s,1"
    assert asked[3] == "HID,@ESH25,60,5,,,,1,R4,2500,s,1"
    assert asked[4].startswith("HIT,@ESH25,60,20250309 1")
    assert asked[4].endswith(",,,,1,R5,2500,s,1")


def test_chains_are_asked_for_and_never_made_up():
    server = IQConnect(BLOCK)

    async def client(server):
        lookup = history(server)
        answers = (
            await lookup.futures_chain("@ES", "HM", "5"),
            await lookup.future_options("@ES", "HM", "5"),
            await lookup.index_options("SPX", 1),
        )
        lookup.close()
        return answers

    futures, options, index = run(server, client)
    assert futures == ["@ESH25", "@ESM25"]
    assert options == index == (["SPXC100", "SPXC200"], ["SPXP100", "SPXP200"])
    assert server.received[1:] == [
        "CFU,@ES,HM,5,,R1",
        "CFO,@ES,cp,HM,5,,R2",
        "CEO,SPX,cp,,1,0,,,R3,0",
    ]


def test_no_data_is_nothing_and_an_error_is_an_error():
    async def client(server):
        lookup = history(server)
        end = int(BLOCK.ts_event[0]) - 3600 * NS
        nothing = [b async for b in lookup.ticks("@ESH25", "ESH25", end - 3600 * NS, end)]
        with pytest.raises(DataError, match=r"refuses HTX,@NONE.*Invalid symbol\."):
            await lookup.last_ticks("@NONE", "ESH25", 5)
        after = await lookup.last_ticks("@ESH25", "ESH25", 5)
        lookup.close()
        return nothing, after

    nothing, after = run(IQConnect(BLOCK), client)
    assert nothing == []
    same(columns_of([after]), part(BLOCK, slice(len(BLOCK) - 5, None)))


def test_a_reply_that_cannot_be_read_is_an_error(monkeypatch):
    async def client(server):
        lookup = history(server)
        try:
            await lookup.last_ticks("@ESH25", "ESH25", 5)
        finally:
            lookup.close()

    monkeypatch.setattr(IQConnect, "_ticks_of", lambda *_: ["LH,2025-03-10 09:30:00,1"])
    with pytest.raises(FormatError, match="history cannot be read"):
        run(IQConnect(BLOCK), client)


def test_an_answer_that_does_not_come_is_an_error():
    server = IQConnect(BLOCK)
    server.silent = True

    async def client(server):
        lookup = history(server, silence_s=0.2)
        with pytest.raises(DataError, match=r"does not answer HTX.*is it running and logged in\?"):
            await lookup.last_ticks("@ESH25", "ESH25", 5)
        server.silent = False
        after = await lookup.last_ticks("@ESH25", "ESH25", 5)
        lookup.close()
        return after

    same(columns_of([run(server, client)]), part(BLOCK, slice(len(BLOCK) - 5, None)))


def test_requests_keep_their_distance():
    async def client(server):
        lookup = history(server, requests_per_s=50)
        began = time.monotonic()
        for _ in range(6):
            await lookup.last_ticks("@ESH25", "ESH25", 1)
        lookup.close()
        return time.monotonic() - began

    assert run(IQConnect(BLOCK), client) >= 0.1


TIME = "09:30:00.000001,2025-03-10,"
LEVELS = [
    f"7,@ESH25,B,5000.00,10,3,2,{TIME}",
    f"7,@ESH25,A,5000.25,7,2,2,{TIME}",
    f"8,@ESH25,B,4999.75,20,5,2,{TIME}",
    f"8,@ESH25,A,5000.25,9,2,2,{TIME}",
    f"9,@ESH25,B,5000.00,{TIME}",
]
ORDERS = [
    f"6,@ESH25,101,,B,5000.00,10,1,2,{TIME}",
    f"6,@ESH25,102,,A,5000.25,4,2,2,{TIME}",
    f"3,@ESH25,103,,B,5000.00,5,3,2,{TIME}",
    f"4,@ESH25,101,,B,4999.75,6,3,2,{TIME}",
    f"5,@ESH25,102,,A,{TIME}",
]


async def watch_depth(server: IQConnect, rounds=1, **options):
    depth = IQFeedDepth(
        {"@ESH25": "ESH25"},
        CLOCK,
        port=server.ports["depth"],
        retry_s=(0.01, 0.02),
        **options,
    )
    states = []
    async for changed in depth:
        book = depth.books["ESH25"]
        states.append((changed, dict(book.bids), dict(book.asks), book.valid))
        if len(states) == rounds:
            depth.close()
    return states, depth.books["ESH25"]


def test_depth_by_price():
    server = IQConnect(BLOCK)
    server.depth = LEVELS
    ((changed, bids, asks, valid),), _ = run(server, watch_depth)
    assert (changed, valid) == ({"ESH25"}, True)
    assert (bids, asks) == ({19_999: (20, 5)}, {20_001: (9, 2)})
    assert server.received[-1] == "WPL,@ESH25"


def test_depth_by_order_is_summed_to_levels():
    server = IQConnect(BLOCK)
    server.depth = [*ORDERS, f"5,@ESH25,999,,A,{TIME}"]
    (state,), book = run(server, lambda s: watch_depth(s, by_order=True))
    assert state[1:] == ({20_000: (5, 1), 19_999: (6, 1)}, {}, True)
    assert server.received[-1] == "WOR,@ESH25"
    assert book.missing_deletes == 1


def test_depth_begins_anew_after_a_lost_connection():
    server = IQConnect(BLOCK)
    server.depth, server.drop_after = LEVELS[:2], [0, 0]
    states, book = run(server, lambda s: watch_depth(s, rounds=3))
    assert server.connections == 3
    assert [state[1:] for state in states] == [states[0][1:]] * 3
    assert not book.valid


def test_a_depth_line_that_cannot_be_read_voids_the_book():
    server, notices = IQConnect(BLOCK), []
    server.depth = [*LEVELS, f"8,@ESH25,X,5000.25,9,2,2,{TIME}"]
    (state,), _ = run(server, lambda s: watch_depth(s, notify=notices.append))
    assert state[3] is False
    assert "is no depth message" in notices[-1].text


def test_a_symbol_without_depth_is_an_error():
    server = IQConnect(BLOCK, symbol="@ESM25")
    with pytest.raises(DataError, match="does not know the symbol @ESH25, or has no depth"):
        run(server, watch_depth)
