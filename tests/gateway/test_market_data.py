"""Market data over real sockets, held against the tape they come from."""

from datetime import UTC, datetime

import numpy as np
import pytest
from gateway.raw_client import front, future, index, option, over_tcp, session

from mia.core.base_types import MISSING_PRICE
from mia.core.sessions import SECOND
from mia.data.synthetic.market import SyntheticMarket
from mia.gateway.catalogue import future as contract_of

SOURCE = "synth:5:20250312:2"
START = datetime(2025, 3, 12, 13, 40, tzinfo=UTC)
START_NS = int(START.timestamp()) * SECOND


def tape():
    """Return the first session that the gateways of these tests play."""
    return next(SyntheticMarket(5, 20250312, 2, trades_per_day=20_000).blocks())


def in_step(**more):
    return session(source=SOURCE, lockstep=True, start=START_NS, **more)


def of(messages, *ids):
    return [fields for fields in messages if int(fields[0]) in ids]


@over_tcp
async def test_all_trades_of_the_tape_arrive_with_their_second():
    async with in_step() as (_gateway, client):
        client.send(97, 1, *await front(client), "AllLast", 0, 0)
        seen = []
        for _ in range(40):
            messages, _ = await client.step()
            seen += [(int(f[3]), float(f[4]), int(f[5])) for f in of(messages, 99)]
    block = tape()
    first = int(np.searchsorted(block.ts_event // SECOND * SECOND, START_NS, side="right"))
    rows = slice(first, first + len(seen))
    expected = zip(
        (block.ts_event[rows] // SECOND).tolist(),
        (block.price[rows] * 0.25).tolist(),
        block.size[rows].tolist(),
        strict=True,
    )
    assert len(seen) > 30
    assert seen == list(expected)


@over_tcp
async def test_a_change_of_the_quote_comes_before_its_trade_and_only_then():
    async with in_step() as (_gateway, client):
        contract = await front(client)
        client.send(97, 1, *contract, "BidAsk", 0, 0)
        client.send(97, 2, *contract, "AllLast", 0, 0)
        ticks = []
        for _ in range(60):
            ticks += of((await client.step())[0], 99)
    quote, trades, block = None, 0, tape()
    first = int(np.searchsorted(block.ts_event // SECOND * SECOND, START_NS, side="right"))
    for fields in ticks:
        row = first + trades
        if fields[2] == "3":
            new = (float(fields[4]), float(fields[5]))
            assert new != quote
            quote = new
        else:
            assert quote == (block.bid_price[row] * 0.25, block.ask_price[row] * 0.25)
            assert block.bid_price[row] != MISSING_PRICE
            trades += 1
    assert trades > 50


@over_tcp
async def test_middles_of_the_quote_are_a_kind_of_their_own():
    async with in_step() as (_gateway, client):
        contract = await front(client)
        client.send(97, 1, *contract, "MidPoint", 0, 0)
        client.send(97, 2, *contract, "BidAsk", 0, 0)
        ticks = []
        for _ in range(20):
            ticks += of((await client.step())[0], 99)
    middles = [float(f[4]) for f in ticks if f[2] == "4"]
    quotes = [(float(f[4]) + float(f[5])) / 2 for f in ticks if f[2] == "3"]
    assert middles
    assert middles == quotes


@over_tcp
async def test_ticks_of_the_past_come_first_where_they_are_asked_for():
    async with in_step() as (_gateway, client):
        client.send(97, 1, *await front(client), "Last", 25, 0)
        past = of((await client.step())[0], 99)
        assert {f[2] for f in past} == {"1"}
        assert [int(f[3]) for f in past[:25]] == sorted(int(f[3]) for f in past[:25])
        assert all(int(f[3]) <= START_NS // SECOND for f in past[:25])


@over_tcp
async def test_mes_trades_at_the_prices_of_es():
    async with in_step() as (_gateway, client):
        client.send(97, 1, *await front(client), "AllLast", 0, 0)
        client.send(97, 2, *await front(client, "MES"), "AllLast", 0, 0)
        ticks = []
        for _ in range(10):
            ticks += of((await client.step())[0], 99)
    assert [f[3:] for f in ticks if f[1] == "1"] == [f[3:] for f in ticks if f[1] == "2"]


@over_tcp
async def test_nothing_comes_after_unsubscribing_and_a_second_time_is_an_error():
    async with in_step() as (_gateway, client):
        client.send(97, 1, *await front(client), "AllLast", 0, 0)
        await client.step()
        client.send(98, 1)
        assert of((await client.step())[0], 99) == []
        code, _ = await client.error(98, 1)
        assert code == 300


@pytest.mark.parametrize("request_id", [97, 1])
@over_tcp
async def test_a_contract_off_the_tape_has_no_data(request_id):
    async with in_step() as (_gateway, client):
        nq = future("NQ", con_id=contract_of("NQH25").con_id)
        rest = ("AllLast", 0, 0) if request_id == 97 else (0, "", 0, 0, "")
        head = (97, 1) if request_id == 97 else (1, 11, 1)
        code, text = await client.error(*head, *nq, *rest)
        assert code == 354
        assert "NQH5" in text


@over_tcp
async def test_tick_by_tick_is_for_futures_only():
    async with in_step() as (_gateway, client):
        code, _ = await client.error(97, 1, *index("SPX"), "AllLast", 0, 0)
        assert code == 10189


@over_tcp
async def test_level_one_tells_the_quote_and_the_figures_of_the_day():
    async with in_step() as (gateway, client):
        client.send(1, 11, 5, *await front(client), 0, "233", 0, 0, "")
        await client.step()
        messages = client.seen
        assert of(messages, 58)[0] == ["58", "1", "5", "1"]
        assert of(messages, 81)[0] == ["81", "5", "0.25", "9c0001", "3"]
        prices = {int(f[3]): float(f[4]) for f in of(messages, 1)}
        day = gateway.market.day
        assert {1, 2, 4, 6, 7, 14} <= set(prices)
        assert prices[4] == day.last * 0.25
        assert prices[6] == day.high * 0.25
        sizes = {int(f[3]): int(f[4]) for f in of(messages, 2)}
        assert sizes[8] == day.volume
        last = of(messages, 46)[-1]
        trades = [f for f in of(messages, 46) if f[3] == "48"]
        price, _size, ms, volume, vwap, single = trades[-1][4].split(";")
        assert (float(price), int(volume)) == (day.last * 0.25, day.volume)
        assert float(vwap) == pytest.approx(day.vwap)
        assert (int(ms) // 1000, single) == (day.last_ts // SECOND, "true")
        assert last[3] in ("45", "48")


@over_tcp
async def test_what_has_not_changed_is_not_sent_again():
    async with in_step() as (_gateway, client):
        client.send(1, 11, 5, *await front(client), 0, "", 0, 0, "")
        known = {}
        for _ in range(30):
            for fields in of((await client.step())[0], 1):
                value = (fields[4], fields[5])
                assert known.get(fields[3]) != value
                known[fields[3]] = value


@over_tcp
async def test_a_snapshot_ends_and_leaves_nothing_behind():
    async with in_step() as (gateway, client):
        answer = await client.answer(57, 1, 11, 5, *await front(client), 0, "", 1, 0, "")
        assert of(answer, 1)
        assert gateway.data_lines() == 0
        assert of((await client.step())[0], 1, 2) == []


@over_tcp
async def test_indices_have_levels_and_no_sizes():
    async with in_step() as (gateway, client):
        for number, symbol in enumerate(("SPX", "VIX", "VIX3M")):
            client.send(1, 11, number, *index(symbol), 0, "", 0, 0, "")
        await client.step()
        last = {f[2]: f for f in of(client.seen, 1) if f[3] == "4"}
        assert float(last["0"][4]) == pytest.approx(
            gateway.option_market.level("SPX", gateway.market.now)
        )
        assert all(fields[5] == "0" for fields in of(client.seen, 1))
        assert of(client.seen, 2) == []
        assert 8 < float(last["1"][4]) < 40
        assert float(last["2"][4]) > 8


@over_tcp
async def test_an_option_has_a_quote_greeks_and_open_interest():
    async with in_step() as (gateway, client):
        spot = gateway.option_market.level("SPX", gateway.market.now)
        strike = round(spot / 5) * 5
        asked = option("20250320", f"{strike}.0", "C", "SPX")
        client.send(1, 11, 5, *asked, 0, "100,101", 0, 0, "")
        await client.step()
        prices = {int(f[3]): float(f[4]) for f in of(client.seen, 1)}
        assert 0 < prices[1] < prices[2]
        greeks = {f[2]: [float(v) for v in f[4:]] for f in of(client.seen, 21)}
        assert set(greeks) == {"10", "11", "13"}
        vol, delta, price, dividend, gamma, vega, theta, under = greeks["13"]
        assert 0.05 < vol < 0.6
        assert 0.3 < delta < 0.7
        assert prices[1] <= price <= prices[2]
        assert (dividend, under) == (0.0, round(spot, 2))
        assert gamma > 0
        assert vega > 0
        assert theta < 0
        sizes = {int(f[3]): int(f[4]) for f in of(client.seen, 2)}
        chain = gateway.option_market.chain()
        assert sizes[27] in chain.open_interest.tolist()
        assert sizes[28] == 0


@over_tcp
async def test_depth_is_inserted_once_and_then_updated_into_the_book_of_the_second():
    async with in_step() as (gateway, client):
        client.send(10, 5, 8, *await front(client), 5, 0, "")
        book = {"0": [], "1": []}
        for _ in range(20):
            for fields in of((await client.step())[0], 12):
                _, _, _, row, operation, side, price, size = fields
                rows = book[side]
                if operation == "0":
                    rows.insert(int(row), None)
                rows[int(row)] = (float(price) / 0.25, int(size))
            bids, asks = gateway.market.book()
            assert book["1"] == bids[:5]
            assert book["0"] == asks[:5]


@over_tcp
async def test_smart_depth_names_the_exchange():
    async with in_step() as (_gateway, client):
        client.send(10, 5, 8, *await front(client), 2, 1, "")
        rows = of((await client.step())[0], 13)
        assert {(f[4], f[9]) for f in rows} == {("CME", "1")}


@over_tcp
async def test_five_second_bars_add_up_to_the_trades():
    async with in_step() as (_gateway, client):
        contract = await front(client)
        client.send(50, 3, 4, *contract, 5, "TRADES", 0, "")
        client.send(97, 1, *contract, "AllLast", 0, 0)
        bars, trades = [], []
        for _ in range(40):
            messages, _ = await client.step()
            bars += of(messages, 50)
            trades += of(messages, 99)
        assert len(bars) > 5
        times = [int(f[3]) for f in bars]
        assert times == list(range(times[0], times[-1] + 1, 5))
        for fields in bars[1:]:
            start = int(fields[3])
            inside = [f for f in trades if start <= int(f[3]) < start + 5]
            assert int(fields[8]) == sum(int(f[5]) for f in inside)
            assert int(fields[10]) == len(inside)
            if inside:
                prices = [float(f[4]) for f in inside]
                assert [float(v) for v in fields[4:8]] == [
                    prices[0],
                    max(prices),
                    min(prices),
                    prices[-1],
                ]


@over_tcp
async def test_minute_bars_of_the_day_are_those_of_the_tape():
    async with in_step() as (_gateway, client):
        contract = await front(client)
        ask = (20, 3, *contract, 0, "", "1 min", "1 D", 0, "TRADES", 2, 0, "")
        fields = (await client.answer(17, *ask))[-1]
        rows = [fields[5 + 8 * k : 13 + 8 * k] for k in range(int(fields[4]))]
    block = tape()
    seen = block.ts_event // SECOND * SECOND <= START_NS
    minutes = block.ts_event[seen] // (60 * SECOND)
    assert [int(r[0]) for r in rows] == (np.unique(minutes) * 60).tolist()
    assert sum(int(r[5]) for r in rows) == int(block.size[seen].sum())
    assert sum(int(r[7]) for r in rows) == int(seen.sum())
    last = block.price[seen][minutes == minutes[-1]] * 0.25
    assert [float(v) for v in rows[-1][1:5]] == [last[0], last.max(), last.min(), last[-1]]


@over_tcp
async def test_bars_of_regular_hours_begin_at_the_open():
    async with in_step() as (_gateway, client):
        ask = (20, 3, *await front(client), 0, "", "5 mins", "1 D", 1, "TRADES", 1, 0, "")
        fields = (await client.answer(17, *ask))[-1]
        assert fields[5] == "20250312 08:30:00 US/Central"


@over_tcp
async def test_bars_kept_up_to_date_follow_the_market():
    async with in_step() as (_gateway, client):
        ask = (20, 3, *await front(client), 0, "", "1 min", "3600 S", 0, "TRADES", 2, 1, "")
        await client.answer(17, *ask)
        updates = []
        for _ in range(80):
            updates += of((await client.step())[0], 90)
        assert len(updates) > 3
        count, _date, opened, close, high, low, wap, volume = updates[-1][2:]
        assert float(low) <= min(float(opened), float(close), float(wap))
        assert float(high) >= max(float(opened), float(close))
        assert int(count) <= int(volume)
        client.send(25, 1, 3)
        assert of((await client.step())[0], 90) == []
        code, _ = await client.error(25, 1, 3)
        assert code == 366


@over_tcp
async def test_an_index_has_bars_too():
    async with in_step() as (_gateway, client):
        ask = (20, 3, *index("VIX"), 0, "", "5 mins", "1 D", 1, "TRADES", 2, 0, "")
        fields = (await client.answer(17, *ask))[-1]
        assert int(fields[4]) == 3
        assert int(fields[5]) == int(datetime(2025, 3, 12, 13, 30, tzinfo=UTC).timestamp())


@pytest.mark.parametrize(
    ("end", "size", "span", "what", "code"),
    [
        ("x", "1 min", "1 D", "TRADES", 321),
        ("", "7 mins", "1 D", "TRADES", 321),
        ("", "1 min", "1 X", "TRADES", 321),
        ("", "1 min", "1 D", "YIELD", 321),
        ("20250101 00:00:00 US/Central", "1 min", "3600 S", "TRADES", 162),
    ],
)
@over_tcp
async def test_a_question_for_bars_that_makes_no_sense_is_refused(end, size, span, what, code):
    async with in_step() as (_gateway, client):
        ask = (20, 3, *await front(client), 0, end, size, span, 0, what, 1, 0, "")
        assert (await client.error(*ask))[0] == code


async def ticks_from(client, contract, start, count, number):
    text = f"{datetime.fromtimestamp(start, UTC):%Y%m%d-%H:%M:%S}"
    ask = (96, number, *contract, 0, text, "", count, "TRADES", 0, 0, "")
    fields = (await client.answer(98, *ask))[-1]
    return [tuple(fields[3 + 6 * k : 9 + 6 * k]) for k in range(int(fields[2]))]


@over_tcp
async def test_ticks_of_the_past_page_through_the_tape_without_hole_or_overlap():
    async with in_step() as (_gateway, client):
        contract = await front(client)
        start = START_NS // SECOND - 600
        got, number = [], 0
        while True:
            number += 1
            page = await ticks_from(client, contract, start, 50, number)
            if not page:
                break
            got += page
            start = int(page[-1][0]) + 1
            if number == 5:
                break
    block = tape()
    rows = np.flatnonzero(block.ts_event // SECOND >= START_NS // SECOND - 600)[: len(got)]
    expected = [(int(block.ts_event[k] // SECOND), float(block.price[k]) * 0.25) for k in rows]
    assert len(got) >= 150
    assert [(int(f[0]), float(f[2])) for f in got] == expected


@over_tcp
async def test_quotes_of_the_past_end_where_they_are_asked_to():
    async with in_step() as (_gateway, client):
        text = f"{START:%Y%m%d-%H:%M:%S}"
        ask = (96, 1, *await front(client), 0, "", text, 20, "BID_ASK", 0, 0, "")
        fields = (await client.answer(97, *ask))[-1]
        rows = [fields[3 + 6 * k : 9 + 6 * k] for k in range(int(fields[2]))]
        assert len(rows) >= 20
        assert all(int(row[0]) < START_NS // SECOND for row in rows)
        assert all(float(row[2]) < float(row[3]) for row in rows)


@over_tcp
async def test_the_time_of_the_first_trade_can_be_asked_for():
    async with in_step() as (_gateway, client):
        answer = await client.answer(88, 87, 3, *await front(client), 0, 0, "TRADES", 2)
        assert int(answer[-1][2]) == int(tape().ts_event[0]) // SECOND


@over_tcp
async def test_the_same_seed_sends_the_same_bytes():
    recorded = []
    for _ in range(2):
        async with in_step() as (_gateway, client):
            contract = await front(client)
            client.send(97, 1, *contract, "AllLast", 0, 0)
            client.send(97, 2, *contract, "BidAsk", 0, 0)
            client.send(1, 11, 3, *contract, 0, "233", 0, 0, "")
            client.send(1, 11, 4, *index("SPX"), 0, "", 0, 0, "")
            client.send(10, 5, 5, *contract, 10, 0, "")
            for _ in range(30):
                await client.step()
            recorded.append(client.seen)
    assert recorded[0] == recorded[1]


@over_tcp
async def test_by_the_clock_the_market_runs_by_itself():
    async with session(source=SOURCE, speed=300.0, start=START_NS) as (_gateway, client):
        client.send(97, 1, *await front(client), "AllLast", 0, 0)
        ticks = [await client.until(99) for _ in range(50)]
        assert [int(f[3]) for f in ticks] == sorted(int(f[3]) for f in ticks)
        assert int((await client.answer(49, 49, 1))[-1][2]) >= int(ticks[-1][3])


@over_tcp
async def test_volumes_of_the_days_tell_when_the_leading_month_changed():
    after_roll = int(datetime(2025, 3, 18, 20, 30, tzinfo=UTC).timestamp()) * SECOND
    async with session(source="synth:5:20250313:5", start=after_roll, speed=0.001) as (_, client):
        volumes = {}
        for number, name in enumerate(("ESH25", "ESM25")):
            contract = future("ES", con_id=contract_of(name).con_id)
            ask = (20, number, *contract, 0, "", "1 day", "5 D", 0, "TRADES", 1, 0, "")
            fields = (await client.answer(17, *ask))[-1]
            rows = [fields[5 + 8 * k : 13 + 8 * k] for k in range(int(fields[4]))]
            volumes[name] = {row[0]: int(row[5]) for row in rows}
        days = ["20250313", "20250314", "20250317", "20250318"]
        assert list(volumes["ESH25"]) == list(volumes["ESM25"]) == days
        leads = [max(volumes, key=lambda name, day=day: volumes[name][day]) for day in days]
        assert leads == ["ESH25", "ESH25", "ESM25", "ESM25"]


@over_tcp
async def test_a_later_month_has_figures_but_no_ticks():
    async with in_step() as (gateway, client):
        june = future("ES", con_id=contract_of("ESM25").con_id)
        client.send(1, 11, 5, *june, 0, "", 0, 0, "")
        await client.step()
        prices = {int(f[3]): float(f[4]) for f in of(client.seen, 1)}
        sizes = {int(f[3]): int(f[4]) for f in of(client.seen, 2)}
        assert prices[4] == gateway.market.day.last * 0.25 + 15
        assert 0 < sizes[8] < gateway.market.day.volume / 25
        assert (await client.error(97, 6, *june, "AllLast", 0, 0))[0] == 354
