"""The connection against the simulated gateway, over TCP."""

import asyncio
import socket
import struct
from datetime import date

import pytest
from ibkr_samples import Desk, play, until

from mia.core.base_types import OrderType
from mia.core.broker_types import (
    BrokerStatus,
    CommissionReport,
    ExecutionReport,
    LinkState,
    OpenOrderReport,
    StatusReport,
)
from mia.core.ibkr.link import LinkTimes
from mia.core.ibkr.messages import TIME_UNREADABLE, UNREADABLE
from mia.core.ibkr_connector import Endpoint
from mia.errors import BrokerError, ConfigError, JournalError

IMPATIENT = LinkTimes(heartbeat_every=0.2, heartbeat_timeout=0.6, dead_after=1.5)


def at(name, when=None, **parameters):
    return {"name": name, "when": when or {}, **parameters}


def codes(desk, request_id=None):
    return [n.code for n in desk.notices if request_id in (None, n.request_id)]


# Connecting.


def test_a_snapshot_is_reconciled_before_the_connection_is_ready():
    async def act(desk):
        states = []

        async def reconcile(snapshot):
            states.append((desk.connector.state, snapshot.complete))

        desk.connector._reconcile = reconcile
        await desk.open()
        assert states == [(LinkState.SYNCING, True)]
        assert desk.connector.state is LinkState.READY
        assert desk.connector.server_version == 176

    play(act)


@pytest.mark.parametrize(
    "version",
    [
        157,
        pytest.param(163, marks=pytest.mark.slow),
        pytest.param(169, marks=pytest.mark.slow),
        176,
    ],
)
def test_every_version_of_the_window_is_spoken(version):
    async def act(desk):
        await desk.open()
        await desk.ticking()
        desk.bracket()
        await desk.step_until(lambda: desk.orders.of(ExecutionReport))
        snapshot = await desk.connector.snapshot()
        assert snapshot.complete
        assert len(snapshot.open_orders) == 2
        assert [p.quantity for p in snapshot.positions] == [1]
        assert UNREADABLE not in codes(desk)

    play(act, version=version)


def test_a_port_where_nothing_listens_is_named():
    async def act(desk):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        lost = Desk(desk.here, endpoint={"port": port})
        with pytest.raises(BrokerError, match=f"nothing listens at 127.0.0.1:{port}"):
            await lost.connector.connect()
        assert lost.connector.state is LinkState.DISCONNECTED

    play(act)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not speak the protocol of TWS"),
        (b"\0\0\0\x05hello", "does not speak the protocol of TWS"),
        (b"", "did not greet"),
        (None, "closed the connection"),
        (struct.pack(">I", 12) + b"100\0whatever"[:12], "does not speak|version 100"),
        (struct.pack(">I", 8) + b"100\0now\0", "speaks version 100 of the protocol, at least 157"),
        (struct.pack(">I", 8) + b"176\0now\0", "was not let in"),
    ],
)
def test_what_answers_otherwise_than_a_gateway_is_told_apart(answer, message):
    async def act(desk):
        async def serve(reader, writer):
            await reader.read(10)
            if answer is None:
                writer.close()
                return
            writer.write(answer)
            await reader.read()
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        other = Desk(desk.here, endpoint={"port": port, "connect_timeout": 0.3})
        with pytest.raises(BrokerError, match=message) as caught:
            await other.connector.connect()
        assert "\n" not in str(caught.value)
        server.close()
        await server.wait_closed()

    play(act)


def test_an_account_that_is_not_managed_is_refused():
    async def act(desk):
        with pytest.raises(BrokerError, match="'U9' is not managed by this login, which has DU1"):
            await desk.connector.connect()

    play(act, settings={"endpoint": {"account": "U9"}})


def test_a_client_id_in_use_is_asked_for_again_and_never_changed():
    async def act(desk):
        await desk.connector.connect()
        assert desk.connector.state is LinkState.READY
        assert [state for state, _ in desk.orders.links].count("CONNECTING") == 3

    play(act, at("client_id_taken", {"times": 2}))


def test_a_client_id_that_stays_in_use_is_given_up_after_a_while():
    async def act(desk):
        with pytest.raises(BrokerError, match="client id 7 is in use"):
            await desk.connector.connect()

    play(act, at("client_id_taken", {"times": 0}), settings={"endpoint": {"busy_for": 0.25}})


def test_a_missing_end_marker_is_asked_for_again():
    async def act(desk):
        await desk.connector.connect()
        assert desk.snapshots[0].complete

    for message in (53, 62, 102):
        play(
            act,
            at("missing_end", {"message": message}),
            settings={"endpoint": {"request_timeout": 0.3}},
        )


def test_without_all_end_markers_nothing_is_traded():
    async def act(desk):
        with pytest.raises(BrokerError, match="did not tell orders and positions in full"):
            await desk.connector.connect()

    play(
        act,
        at("missing_end", {"message": 53, "times": 0}),
        settings={"endpoint": {"request_timeout": 0.1}},
    )


def test_executions_without_an_end_marker_are_allowed_for():
    async def act(desk):
        await desk.open()
        assert desk.snapshots[0].complete
        assert not desk.snapshots[0].executions_complete

    play(
        act,
        at("missing_end", {"message": 55, "times": 0}),
        settings={"endpoint": {"request_timeout": 0.2}},
    )


# Orders.


def test_a_bracket_is_told_in_the_order_of_the_socket():
    async def act(desk):
        await desk.open()
        await desk.ticking()
        entry, stop, target = desk.bracket()
        await desk.step_until(lambda: desk.orders.of(CommissionReport))
        [fill] = desk.orders.of(ExecutionReport)
        assert (fill.order_ref, fill.side, fill.quantity) == ("a:E", 1, 1)
        assert fill.ts % 1_000_000_000 == 0
        assert abs(fill.ts - desk.market.trades[-1][1]) <= 2_000_000_000
        orders = {r.order_id: r for r in desk.orders.of(OpenOrderReport)}
        assert orders[stop.order_id].price == stop.price
        assert orders[target.order_id].parent_id == entry.order_id
        await until(lambda: desk.connector.positions)
        assert desk.connector.positions[desk.contract.con_id].quantity == 1

    play(act)


def test_a_stop_is_moved_by_sending_it_again_and_a_target_is_cancelled():
    async def act(desk):
        await desk.open()
        await desk.ticking()
        _, stop, target = desk.bracket()
        await desk.step_until(lambda: desk.orders.of(ExecutionReport))
        moved = desk.ticket(
            stop.order_ref,
            order_id=stop.order_id,
            side=-1,
            tif="GTC",
            order_type=OrderType.STOP,
            price=stop.price + 4,
            parent_id=stop.parent_id,
            oca_group="a",
            oca_type=1,
        )
        desk.connector.place(moved)
        desk.connector.cancel(target.order_id)
        await desk.step_until(
            lambda: any(
                r.order_id == target.order_id and r.status is BrokerStatus.CANCELLED
                for r in desk.orders.of(StatusReport)
            )
        )
        orders = {r.order_id: r for r in desk.orders.of(OpenOrderReport)}
        assert orders[stop.order_id].price == stop.price + 4
        snapshot = await desk.connector.snapshot()
        assert [r.order_ref for r in snapshot.open_orders] == ["a:S"]
        assert {r.order_ref for r in snapshot.completed_orders} == {"a:E", "a:T"}
        assert [r.exec_id for r in snapshot.commissions] == [r.exec_id for r in snapshot.executions]

    play(act)


def test_the_bytes_of_an_order_have_left_when_place_returns():
    async def act(desk):
        await desk.open()
        await desk.ticking()
        wire = desk.connector._session._socket
        before = wire.messages_sent
        desk.resting()
        assert wire.messages_sent == before + 1
        assert wire.is_open

    play(act)


@pytest.mark.slow
def test_a_burst_of_requests_does_not_hold_up_an_order():
    async def act(desk):
        await desk.open()
        await desk.connector.subscribe_trades(desk.contract)
        await until(lambda: desk.market.trades, 20.0)
        burst = [
            asyncio.ensure_future(desk.connector.resolve(desk.contract.name)) for _ in range(40)
        ]
        await asyncio.sleep(0.05)
        started = asyncio.get_running_loop().time()
        ticket = desk.resting()
        await until(
            lambda: any(r.order_id == ticket.order_id for r in desk.orders.of(StatusReport))
        )
        assert asyncio.get_running_loop().time() - started < 0.5
        for task in burst:
            task.cancel()
        await asyncio.gather(*burst, return_exceptions=True)
        assert 100 not in codes(desk)

    play(act, lockstep=False, speed=20.0)


@pytest.mark.slow
def test_an_order_beyond_the_budget_is_refused_and_not_kept():
    async def act(desk):
        await desk.open()
        desk.market.trades.append((desk.contract.name, 0, 20_000, 1, 0))
        tickets = [
            desk.ticket(f"far{k}:E", order_type=OrderType.LIMIT, price=10_000) for k in range(50)
        ]
        with pytest.raises(BrokerError, match="nothing was sent, try again in"):
            desk.send(tickets)
        sent = desk.connector._session._socket.messages_sent
        await asyncio.sleep(1.1)
        assert desk.connector._session._socket.messages_sent - sent <= 2
        desk.resting("later:E")
        assert 100 not in codes(desk)

    play(act, lockstep=False, speed=1.0)


def test_orders_are_refused_before_connecting_and_after_leaving():
    async def act(desk):
        with pytest.raises(BrokerError, match="connection is DISCONNECTED"):
            desk.connector.cancel(1)
        with pytest.raises(BrokerError, match="no order id yet"):
            desk.connector.next_order_id()
        await desk.open()
        ticket = desk.ticket(order_type=OrderType.LIMIT, price=10_000)
        await desk.connector.disconnect()
        with pytest.raises(BrokerError, match=r"connection is DISCONNECTED.*nothing was sent"):
            desk.connector.place(ticket)

    play(act)


MALFORMED = [
    ({"account": "U2"}, "account 'U2'"),
    ({"quantity": 0}, "quantity"),
    ({"side": 0}, "side"),
    ({"order_type": OrderType.LIMIT}, "price must be at least 1"),
    ({"price": 5}, "market order has no price"),
    ({"order_type": OrderType.STOP_LIMIT, "price": 5}, "STOP_LIMIT"),
    ({"tif": "OPG"}, "tif"),
    ({"outside_rth": False}, "outside_rth"),
    ({"oca_group": "a"}, "oca_type"),
    ({"ref": ""}, "order_ref"),
    ({"ref": "a\0b"}, "order_ref"),
    ({"con_id": 0}, "con_id"),
    ({"symbol": "CL"}, "tick of 'CL'"),
    ({"order_id": 1 << 30}, "order id"),
]


def test_a_malformed_order_does_not_leave():
    async def act(desk):
        await desk.open()
        sent = desk.connector._session._socket.messages_sent
        for change, culprit in MALFORMED:
            with pytest.raises(BrokerError, match=culprit):
                desk.connector.place(desk.ticket(**change))
        assert desk.connector._session._socket.messages_sent == sent

    play(act)


def test_an_endpoint_needs_an_account_and_a_client_id_of_its_own():
    with pytest.raises(ConfigError, match="at least 1, was 0"):
        Endpoint("127.0.0.1", 4002, 0, "DU1")
    with pytest.raises(ConfigError, match="no account"):
        Endpoint("127.0.0.1", 4002, 1, "")


def test_order_ids_never_go_back():
    async def act(desk):
        await desk.open()
        assert desk.connector.next_order_id() == 501
        assert desk.connector.next_order_id() == 502
        desk.here.fault("drop")
        await until(lambda: desk.connector.state is not LinkState.READY)
        await until(lambda: desk.connector.state is LinkState.READY)
        assert desk.connector.next_order_id() == 503

    play(act, settings={"order_id_floor": 500})


def test_what_if_tells_the_margin_and_leaves_no_order():
    async def act(desk):
        await desk.open()
        await desk.ticking()
        change = await desk.connector.what_if(desk.ticket(quantity=2))
        assert change.initial_after > change.maintenance_after > 0
        assert change.commission > 0
        assert (await desk.connector.snapshot()).open_orders == ()

    play(act)


def test_account_values_are_amounts():
    async def act(desk):
        await desk.open()
        values = await desk.connector.account_values()
        assert values["NetLiquidation"] == 250_000.0
        assert (await desk.connector.account_values()) == values

    play(act)


def test_a_read_only_gateway_is_found_out_by_the_first_order():
    async def act(desk):
        await desk.open()
        await desk.ticking()
        desk.resting()
        await until(lambda: 321 in codes(desk))
        with pytest.raises(BrokerError, match="read-only mode"):
            desk.resting("again:E")

    play(act, at("read_only"))


@pytest.mark.parametrize(
    ("zone", "name"),
    [
        ("Europe/Warsaw", "Central European Standard Time"),
        ("Asia/Tokyo", "JST"),
        ("UTC", "Z"),
        ("US/Central", "US/Central"),
        ("US/Central", "Nowhere/Else"),
    ],
)
def test_no_fill_is_lost_for_the_zone_of_its_time(zone, name):
    async def act(desk):
        await desk.open()
        await desk.ticking()
        desk.connector.place(desk.ticket())
        await desk.step_until(lambda: desk.orders.of(ExecutionReport))
        [fill] = desk.orders.of(ExecutionReport)
        assert abs(fill.ts - desk.market.trades[-1][1]) <= 2_000_000_000
        assert (TIME_UNREADABLE in codes(desk)) == (name == "Nowhere/Else")

    play(act, at("execution_zone", zone=name), zone=zone)


def test_a_fill_from_the_future_bears_the_time_of_its_receipt():
    async def act(desk):
        await desk.open()
        await desk.ticking()
        desk.connector.place(desk.ticket())
        await desk.step_until(lambda: desk.orders.of(ExecutionReport))
        [fill] = desk.orders.of(ExecutionReport)
        assert abs(fill.ts - desk.market.trades[-1][1]) <= 2_000_000_000
        assert TIME_UNREADABLE in codes(desk)

    play(act, at("execution_zone", zone="US/Pacific"))


def test_a_snapshot_knows_manual_orders_and_foreign_positions():
    async def act(desk):
        await desk.open()
        await desk.ticking()
        desk.here.fault("foreign_position", quantity=-3)
        desk.here.fault("manual_order", side="SELL", kind="LMT", price=(desk.last + 200) / 4)
        snapshot = await desk.connector.snapshot()
        [manual] = snapshot.open_orders
        assert manual.order_id <= 0
        assert manual.perm_id > 0
        assert [p.quantity for p in snapshot.positions] == [-3]

    play(act)


def test_positions_that_are_gone_are_forgotten():
    async def act(desk):
        await desk.open()
        await desk.ticking()
        desk.connector.place(desk.ticket())
        await until_filled(desk, 1)
        await desk.connector.snapshot()
        assert [p.quantity for p in desk.connector.positions.values()] == [1]
        desk.connector.place(desk.ticket("b:E", side=-1))
        await until_filled(desk, 2)
        assert (await desk.connector.snapshot()).positions == ()
        assert not any(p.quantity for p in desk.connector.positions.values())

    play(act)


async def until_filled(desk, count):
    await desk.step_until(
        lambda: len({r.exec_id for r in desk.orders.of(ExecutionReport)}) >= count
    )


# What goes wrong with the link.


def test_1100_keeps_orders_back_and_lets_reports_through():
    async def act(desk):
        await desk.open()
        await desk.ticking()
        desk.here.fault("link_lost")
        await until(lambda: desk.connector.state is LinkState.DEGRADED)
        with pytest.raises(BrokerError, match=r"DEGRADED.*1100"):
            desk.resting()
        desk.here.fault("link_restored", data_kept=True)
        await until(lambda: desk.connector.state is LinkState.READY)
        assert len(desk.snapshots) == 2

    play(act)


def test_1101_subscribes_again():
    async def act(desk):
        await desk.open()
        await desk.ticking()
        first = {s.request_id for s in desk.connector._market._by_key.values()}
        desk.here.fault("link_lost", seconds=0.1, data_kept=False)
        await until(lambda: len(desk.snapshots) == 2)
        await until(lambda: desk.connector.state is LinkState.READY)
        count = len(desk.market.trades)
        await desk.step_until(lambda: len(desk.market.trades) > count)
        assert first.isdisjoint(s.request_id for s in desk.connector._market._by_key.values())

    play(act)


def test_a_lost_connection_comes_back_with_its_subscriptions():
    async def act(desk):
        await desk.open()
        await desk.ticking()
        entry, _, _ = desk.bracket()
        await until(lambda: desk.orders.of(StatusReport))
        desk.here.fault("drop", reset=True)
        await until(lambda: desk.connector.state is LinkState.DISCONNECTED)
        with pytest.raises(BrokerError, match="nothing was sent"):
            desk.resting()
        await until(lambda: desk.connector.state is LinkState.READY)
        assert {r.order_ref for r in desk.snapshots[-1].open_orders} == {"a:E", "a:S", "a:T"}
        count = len(desk.market.trades)
        await desk.step_until(lambda: len(desk.market.trades) > count)
        await desk.step_until(lambda: desk.orders.of(ExecutionReport))
        assert desk.orders.of(ExecutionReport)[0].order_id == entry.order_id

    play(act)


def test_a_frozen_gateway_stops_orders_and_is_reconciled_when_it_thaws():
    async def act(desk):
        await desk.open()
        desk.here.fault("freeze")
        await until(lambda: desk.connector.state is LinkState.DEGRADED, 5.0)
        with pytest.raises(BrokerError, match="no answer from the gateway"):
            desk.connector.cancel(1)
        desk.here.fault("thaw")
        await until(lambda: desk.connector.state is LinkState.READY, 5.0)
        assert len(desk.snapshots) >= 2

    play(act, lockstep=False, speed=1.0, settings={"endpoint": {"times": IMPATIENT}})


@pytest.mark.slow
def test_a_gateway_that_stays_frozen_is_left_for_a_new_connection():
    async def act(desk):
        await desk.open()
        desk.here.fault("freeze")
        await until(lambda: desk.connector.state is LinkState.DISCONNECTED, 5.0)
        assert "silent" in desk.connector.reason

    play(act, lockstep=False, speed=1.0, settings={"endpoint": {"times": IMPATIENT}})


def test_a_changed_port_is_final():
    async def act(desk):
        await desk.open()
        desk.here.fault("notice", code=1300, text="the port is 4010 now")
        with pytest.raises(BrokerError, match="1300"):
            await desk.connector.wait_closed()
        assert desk.connector.state is LinkState.DISCONNECTED

    play(act)


def test_a_listener_that_fails_ends_the_connection():
    async def act(desk):
        await desk.open()
        await desk.ticking()

        def refuse(report):
            raise JournalError("disk full")

        desk.orders.on_execution = refuse
        desk.connector.place(desk.ticket())
        desk.connector.request_server_time()
        desk.connector.request_server_time()
        for _ in range(20):
            if desk.connector.state is LinkState.DISCONNECTED:
                break
            desk.connector.request_server_time()
            await asyncio.sleep(0.02)
        with pytest.raises(JournalError, match="disk full"):
            await desk.connector.wait_closed()
        with pytest.raises(BrokerError, match="disk full"):
            desk.connector.cancel(1)

    play(act)


def test_orders_may_be_placed_while_the_caller_reconciles():
    async def act(desk):
        placed = []

        async def protect(snapshot):
            if desk.contract is not None:
                placed.append(desk.resting("stop:S"))

        desk.connector._reconcile = protect
        await desk.open()
        await desk.ticking()
        desk.here.fault("link_lost", seconds=0.1, data_kept=True)
        await until(lambda: placed)
        await until(lambda: desk.connector.state is LinkState.READY)
        assert [r.order_ref for r in (await desk.connector.snapshot()).open_orders] == ["stop:S"]

    play(act)


def test_a_reconciliation_that_fails_is_tried_again_before_ready():
    async def act(desk):
        await desk.open()
        tries = []

        async def reluctant(snapshot):
            tries.append(desk.connector.state)
            if len(tries) < 3:
                raise BrokerError("a position is not protected")

        desk.connector._reconcile = reluctant
        desk.here.fault("link_lost", seconds=0.05, data_kept=True)
        await until(lambda: len(tries) == 3)
        await until(lambda: desk.connector.state is LinkState.READY)
        assert tries == [LinkState.SYNCING] * 3

    play(act)


# Contracts.


def test_contracts_are_resolved_by_name():
    async def act(desk):
        await desk.open()
        contract = await desk.connector.resolve(desk.contract.name)
        assert contract == desk.contract
        assert contract.trading_hours[0][0] < contract.trading_hours[0][1]
        with pytest.raises(BrokerError, match="knows no contract ESZ19: it has expired"):
            await desk.connector.resolve("ESZ19")
        with pytest.raises(BrokerError, match="is a root"):
            await desk.connector.resolve("ES")
        with pytest.raises(BrokerError, match="names no future"):
            await desk.connector.resolve("ES 12-25")

    play(act)


def test_the_front_month_is_not_one_about_to_expire():
    async def act(desk):
        await desk.open()
        first, second, *_ = await desk.connector.contracts("ES")
        early, late = date(2025, 3, 3), date(2025, 3, 17)
        assert (await desk.connector.front_contract("ES", early)) == first
        assert (await desk.connector.front_contract("ES", late)) == second
        volumes = {first.name: 1e5, second.name: 2e6}
        assert (await desk.connector.front_contract("ES", early, volumes)) == second
        with pytest.raises(BrokerError, match="more than 5 days to go"):
            await desk.connector.front_contract("ES", date(2030, 1, 1))

    play(act)


# Market data.


def test_ticks_have_the_second_of_the_exchange_and_quotes_come_first():
    async def act(desk):
        await desk.open()
        await desk.connector.subscribe_quotes(desk.contract)
        await desk.connector.subscribe_trades(desk.contract)
        await desk.step_until(lambda: len(desk.market.trades) > 20)
        times = [ts for _, ts, *_ in desk.market.trades]
        assert times == sorted(times)
        assert all(ts % 1_000_000_000 == 0 for ts in times)
        assert desk.market.bad == []
        bid, ask = desk.market.quotes[-1][2:4]
        assert 0 < bid < ask

    play(act)


@pytest.mark.parametrize("kind", ["zero", "negative", "nan", "off_grid"])
def test_a_bad_tick_is_refused_and_told(kind):
    async def act(desk):
        await desk.open()
        await desk.ticking()
        await desk.step_until(lambda: desk.market.bad)
        assert all(price > 0 for _, _, price, _, _ in desk.market.trades)
        assert desk.connector.state is LinkState.READY

    play(act, at("bad_tick", {"count": 3}, kind=kind))


def test_delayed_data_is_refused_where_live_is_asked_for():
    async def act(desk):
        await desk.open()
        with pytest.raises(BrokerError, match="instead of live"):
            await desk.connector.subscribe_index("VIX")
        await desk.connector.subscribe_index("VIX", require_live=False)
        assert not desk.connector.is_live_data
        assert desk.market.levels == []

    play(act, at("delayed_data"), lockstep=False, speed=1.0)


def test_a_missing_permission_is_an_error_of_the_subscription():
    async def act(desk):
        await desk.open()
        with pytest.raises(BrokerError, match=r"trades of ES.*354"):
            await desk.connector.subscribe_trades(desk.contract)

    play(act, at("no_market_data", code=354), lockstep=False, speed=1.0)


def test_at_the_limit_of_tick_lines_it_is_asked_again_later():
    async def act(desk):
        await desk.open()
        await desk.connector.subscribe_trades(desk.contract)
        await until(lambda: 10190 in codes(desk))
        await desk.step_until(lambda: desk.market.trades)

    play(
        act,
        at("no_market_data", {"times": 1}, code=10190),
        settings={"endpoint": {"tick_by_tick_every": 0.2}},
    )


def test_the_level_of_an_index_is_told_with_its_time():
    async def act(desk):
        await desk.open()
        for symbol in ("SPX", "VIX", "VIX3M"):
            await desk.connector.subscribe_index(symbol)
        await until(lambda: {s for s, _, _ in desk.market.levels} == {"SPX", "VIX", "VIX3M"})
        assert all(value > 0 for _, _, value in desk.market.levels)

    play(act, lockstep=False, speed=5.0)


def test_depth_is_kept_level_by_level_and_built_anew_after_a_reset():
    async def act(desk):
        await desk.open()
        books = []
        await desk.connector.subscribe_depth(
            desk.contract, lambda book: books.append((len(book.bids), len(book.asks), book.valid))
        )
        await until(lambda: (10, 10, True) in books)
        await until(lambda: 317 in codes(desk))
        del books[:]
        await until(lambda: (10, 10, True) in books)

    reset = at("depth_reset", {"message": 12, "direction": "out", "count": 25})
    play(act, reset, lockstep=False, speed=50.0)


def test_the_gateway_is_asked_for_its_time_once_a_second_at_most():
    async def act(desk):
        await desk.open()
        asked = [desk.connector.request_server_time() for _ in range(5)]
        assert sum(asked) <= 1
        await until(lambda: desk.market.times)

    play(act, lockstep=False, speed=1.0)


def test_a_subscription_is_closed_by_its_name():
    async def act(desk):
        await desk.open()
        await desk.ticking()
        await desk.connector.unsubscribe(f"trades of {desk.contract.name}")
        count = len(desk.market.trades)
        for _ in range(5):
            desk.connector.request_server_time()
            await asyncio.sleep(0.02)
        assert len(desk.market.trades) == count
        with pytest.raises(BrokerError, match="nothing is subscribed as"):
            await desk.connector.unsubscribe("trades of NQZ25")

    play(act)


def test_an_order_that_does_not_fit_into_the_socket_is_withdrawn():
    async def act(desk):
        await desk.open()
        await desk.ticking()
        wire = desk.connector._session._socket
        raw = wire._transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        ticket = desk.ticket(order_type=OrderType.LIMIT, price=10_000)
        # The gateway shares this loop: while orders are placed without a pause it reads nothing.
        with pytest.raises(BrokerError, match="takes nothing in: nothing was sent"):
            desk.send([ticket] * 50_000)
        with pytest.raises(BrokerError, match="nothing was sent"):
            desk.connector.place(ticket)
        sent = wire.messages_sent
        await until(lambda: desk.connector._session._socket not in (None, wire))
        await until(lambda: desk.connector.state is LinkState.READY)
        assert wire.messages_sent == sent

    play(act)


@pytest.mark.slow
def test_subscriptions_that_stay_silent_after_a_farm_came_back_are_opened_again(monkeypatch):
    monkeypatch.setattr("mia.core.ibkr.market._GRACE", 0.2)

    async def act(desk):
        await desk.open()
        await desk.ticking()
        [stream] = desk.connector._market._by_key.values()
        first = stream.request_id
        desk.here.fault("farm_lost", kind="market")
        await until(lambda: not desk.connector.gates().farms)
        assert desk.connector.gates().orders
        desk.here.fault("farm_restored", kind="market")
        await until(lambda: desk.connector.gates().farms)
        await until(lambda: stream.request_id not in (0, first))
        count = len(desk.market.trades)
        await desk.step_until(lambda: len(desk.market.trades) > count)
        current = stream.request_id
        await asyncio.sleep(0.6)
        assert stream.request_id == current

    play(act)


def test_a_message_about_orders_that_cannot_be_read_is_told_and_reconciled():
    async def act(desk):
        await desk.open()
        await desk.ticking()
        [session] = [s for s in desk.here.gateway.sessions if s.client_id == 7]
        session.send(3, ("77", "Exploded", "0", "1", "0", "1", "0", "0", "7", "", "0"))
        session.flush()
        await until(lambda: UNREADABLE in codes(desk, 77))
        await until(lambda: len(desk.snapshots) == 2)
        await until(lambda: desk.connector.state is LinkState.READY)

    play(act)


def test_orders_and_data_share_a_market_in_lock_step():
    async def act(desk):
        await desk.open()
        data = Desk(desk.here, orders=None, reconcile=None, endpoint={"client_id": 8})
        await data.open()
        await data.connector.subscribe_trades(data.contract)
        assert data.connector.endpoint.messages.kept_for_orders == 0
        for _ in range(60):
            for connector in (desk.connector, data.connector):
                connector.request_server_time()
            count = len(desk.market.times)
            await until(lambda count=count: len(desk.market.times) > count)
            await until(lambda: len(data.market.times) == len(desk.market.times))
            assert data.market.times[-1] == desk.market.times[-1]
        assert data.market.trades
        assert desk.market.trades == []
        await data.connector.disconnect()

    play(act)
