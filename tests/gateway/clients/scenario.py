"""One script of requests, the same through every library.

Market time of the gateway stands still between the script's steps (lock-step), so every run must
see the same callbacks in the same order. A barrier, a request for the next id, ends each part:
whatever the gateway had to say to what was asked before has arrived by then.
"""

import time

TICK = 0.25


class Script:
    """A connection, and what the script needs to talk through it."""

    def __init__(self, session, client_id):
        self.connection = session.connect(client_id)
        self.recorder = self.connection.recorder
        self._next_request = 1000
        self.option = None
        self.account = ""
        seen = self.recorder.wait(lambda e: e[0] == "nextValidId", "nextValidId")
        self.next_order = int(seen[1][0])

    def part(self, name):
        """Begin a part; its name stands among the events."""
        self.recorder.record("part", name)

    @property
    def last_request(self):
        """Number of the last request."""
        return self._next_request

    def request_id(self):
        """Return a fresh number for a request."""
        self._next_request += 1
        return self._next_request

    def order_id(self):
        """Return a fresh number for an order."""
        self.next_order += 1
        return self.next_order - 1

    def call(self, method, *arguments):
        """Send a request without waiting."""
        self.connection.call(method, *arguments)

    def ask(self, end, method, *arguments):
        """Send a request that begins with its number; return the events up to its end or error."""
        number = self.request_id()
        start = len(self.recorder.events)
        self.call(method, number, *arguments)
        self.recorder.wait(
            lambda e: e[0] in (end, "error") and e[1][0] == number, f"{end} of {method}", start
        )
        return [e for e in self.recorder.events[start:] if e[1] and e[1][0] == number]

    def ask_all(self, end, method, *arguments):
        """Send a request without a number; return the events up to its end."""
        start = len(self.recorder.events)
        self.call(method, *arguments)
        self.recorder.wait(lambda e: e[0] == end, f"{end} of {method}", start)
        return self.recorder.events[start:]

    def barrier(self):
        """Wait until all that was asked before is answered."""
        return self.ask_all("nextValidId", "reqIds", 1)

    def place(self, contract, order_id=None, **fields):
        """Send an order; return its number."""
        number = self.order_id() if order_id is None else order_id
        self.call("placeOrder", number, contract, self.connection.order(**fields))
        return number

    def status_of(self, order_id):
        """Return the last status that was reported."""
        found = [
            e[1][1] for e in self.recorder.events if e[0] == "orderStatus" and e[1][0] == order_id
        ]
        return found[-1] if found else None


def step(*scripts):
    """Let market time move on to the next second with trades."""
    starts = [len(script.recorder.events) for script in scripts]
    for script in scripts:
        script.call("reqCurrentTime")
    for script, start in zip(scripts, starts, strict=True):
        script.recorder.wait(lambda e: e[0] == "currentTime", "currentTime", start)


def step_until(condition, what, *scripts, steps=400):
    """Step until something is so."""
    for _ in range(steps):
        if condition():
            return
        step(*scripts)
    raise TimeoutError(f"{what} did not happen within {steps} steps")


def run(session, before_closing=lambda: None):
    """Run the script.

    Returns
    -------
    dict
        `events` per connection, and `high_level` as the library's own users see it.
    """
    one = Script(session, 1)
    one.barrier()
    front = contracts(one)
    rules(one)
    market_data(one, front)
    history(one, front)
    account(one)
    trading = Trading(one, front)
    trading.bracket()
    trading.refused()
    trading.market_order()
    trading.partial_fills()
    trading.oca()
    trading.what_if()
    second_client(session, trading)
    trading.reports()
    trading.global_cancel()
    noted = before_closing()
    for connection in session.connections:
        connection.close()
    high = session.high_level(9, trading.fields, trading.last - 400 * TICK)
    return {
        "events": {c.client_id: c.recorder.events for c in session.connections},
        "high_level": high,
        "before_closing": noted,
    }


def contracts(one):
    """Ask for contracts, known, ambiguous and unknown; return the leading future."""
    make = one.connection.contract
    one.part("contracts")
    found = one.ask(
        "contractDetailsEnd",
        "reqContractDetails",
        make(symbol="ES", secType="FUT", exchange="CME", currency="USD"),
    )
    futures = [e[1][1] for e in found if e[0] == "contractDetails"]
    futures.sort(key=lambda d: d["contract"]["lastTradeDateOrContractMonth"])
    for wanted in (
        {"symbol": "MES", "secType": "FUT", "exchange": "CME", "currency": "USD"},
        {"symbol": "SPX", "secType": "IND", "exchange": "CBOE", "currency": "USD"},
        {
            "symbol": "ES",
            "secType": "FUT",
            "exchange": "CME",
            "currency": "USD",
            "localSymbol": futures[0]["contract"]["localSymbol"],
        },
        {"conId": int(futures[0]["contract"]["conId"])},
        {"symbol": "NOSUCH", "secType": "FUT", "exchange": "CME", "currency": "USD"},
    ):
        one.ask("contractDetailsEnd", "reqContractDetails", make(**wanted))
    one.part("ambiguous contract")
    number = one.request_id()
    one.call(
        "reqMktData",
        number,
        make(symbol="ES", secType="FUT", exchange="CME", currency="USD"),
        "",
        False,
        False,
        [],
    )
    one.barrier()
    return futures[0]["contract"]


def fields_of_contract(seen):
    """Return what names a contract that was reported."""
    return {
        "conId": int(seen["conId"]),
        "symbol": seen["symbol"],
        "secType": seen["secType"],
        "lastTradeDateOrContractMonth": seen["lastTradeDateOrContractMonth"],
        "exchange": seen["exchange"],
        "currency": seen["currency"],
        "multiplier": seen["multiplier"] or "",
        "localSymbol": seen["localSymbol"],
        "tradingClass": seen["tradingClass"] or "",
    }


def rules(one):
    """Ask for price rules and the chain of options; then for one option of it."""
    make = one.connection.contract
    one.part("rules and chains")
    details = [e[1][1] for e in one.recorder.events if e[0] == "contractDetails"]
    rule = next(d["marketRuleIds"] for d in details if d["contract"]["symbol"] == "ES")
    one.ask_all("marketRule", "reqMarketRule", int(rule.split(",")[0]))
    index = next(d["contract"] for d in details if d["contract"]["symbol"] == "SPX")
    rows = one.ask(
        "securityDefinitionOptionParameterEnd",
        "reqSecDefOptParams",
        "SPX",
        "",
        "IND",
        int(index["conId"]),
    )
    row = next(e[1] for e in rows if e[0] == "securityDefinitionOptionParameter")
    expiry, strikes = sorted(row[5])[0], sorted(row[6])
    one.option = one.ask(
        "contractDetailsEnd",
        "reqContractDetails",
        make(
            symbol="SPX",
            secType="OPT",
            exchange="SMART",
            currency="USD",
            tradingClass=row[3],
            lastTradeDateOrContractMonth=expiry,
            strike=strikes[len(strikes) // 2],
            right="C",
        ),
    )[0][1][1]["contract"]


def market_data(one, front):
    """Subscribe to everything that streams, let some seconds pass, unsubscribe."""
    make = one.connection.contract
    future = make(**fields_of_contract(front))
    option = make(
        **fields_of_contract(one.option), strike=one.option["strike"], right=one.option["right"]
    )
    one.part("subscribe")
    one.call("reqMarketDataType", 1)
    numbers = {}
    for name, method, rest in (
        ("L1", "reqMktData", (future, "233", False, False, [])),
        ("option", "reqMktData", (option, "", False, False, [])),
        ("trades", "reqTickByTickData", (future, "AllLast", 0, False)),
        ("quotes", "reqTickByTickData", (future, "BidAsk", 0, False)),
        ("depth", "reqMktDepth", (future, 5, False, [])),
        ("bars", "reqRealTimeBars", (future, 5, "TRADES", False, [])),
    ):
        numbers[name] = one.request_id()
        one.call(method, numbers[name], *rest)
        one.barrier()
    one.ask("tickSnapshotEnd", "reqMktData", future, "", True, False, [])
    one.part("stream")
    for _ in range(25):
        step(one)
    step_until(lambda: any(e[0] == "realtimeBar" for e in one.recorder.events), "a bar", one)
    one.part("unsubscribe")
    for name, method, rest in (
        ("L1", "cancelMktData", ()),
        ("option", "cancelMktData", ()),
        ("quotes", "cancelTickByTickData", ()),
        ("depth", "cancelMktDepth", (False,)),
        ("bars", "cancelRealTimeBars", ()),
    ):
        one.call(method, numbers[name], *rest)
    one.barrier()
    step(one)
    one.barrier()


def history(one, front):
    """Ask for bars and ticks of the past."""
    make = one.connection.contract
    future = make(**fields_of_contract(front))
    one.part("history")
    one.ask(
        "historicalDataEnd",
        "reqHistoricalData",
        future,
        "",
        "1800 S",
        "1 min",
        "TRADES",
        0,
        2,
        False,
        [],
    )
    for what, answer in (
        ("TRADES", "historicalTicksLast"),
        ("BID_ASK", "historicalTicksBidAsk"),
        ("MIDPOINT", "historicalTicks"),
    ):
        one.ask(answer, "reqHistoricalTicks", future, "", market_clock(one), 20, what, 0, False, [])


def market_clock(one):
    """Return the market's time as requests spell it, in UTC."""
    last = [e[1][0] for e in one.recorder.events if e[0] == "currentTime"][-1]
    return time.strftime("%Y%m%d-%H:%M:%S", time.gmtime(last))


def account(one):
    """Ask for all that is said of an account."""
    name = next(e[1][0] for e in one.recorder.events if e[0] == "managedAccounts").split(",")[0]
    one.account = name
    one.part("account")
    one.ask_all("managedAccounts", "reqManagedAccts")
    one.ask_all("positionEnd", "reqPositions")
    one.call("cancelPositions")
    one.ask_all("accountDownloadEnd", "reqAccountUpdates", True, name)
    one.call("reqAccountUpdates", False, name)
    one.ask("accountSummaryEnd", "reqAccountSummary", "All", "NetLiquidation,BuyingPower")
    one.call("cancelAccountSummary", one.last_request)
    one.ask("accountUpdateMultiEnd", "reqAccountUpdatesMulti", name, "", False)
    one.call("cancelAccountUpdatesMulti", one.last_request)
    one.ask("pnl", "reqPnL", name, "")
    one.call("cancelPnL", one.last_request)
    one.barrier()


class Trading:
    """The parts of the script that trade."""

    def __init__(self, one, front):
        self.one = one
        self.fields = fields_of_contract(front)
        self.contract = one.connection.contract(**self.fields)
        self.common = {"account": one.account, "outsideRth": True, "openClose": "O"}

    @property
    def last(self):
        """Price of the last trade."""
        trades = [e[1] for e in self.one.recorder.events if e[0] == "tickByTickAllLast"]
        return trades[-1][3]

    def place(self, **fields):
        """Send an order of the front contract."""
        return self.one.place(self.contract, **{"tif": "DAY", **self.common, **fields})

    def done(self, order_id):
        """Whether an order is filled."""
        return self.one.status_of(order_id) == "Filled"

    def bracket(self):
        """Enter with a bracket staged leg by leg; move its stop; end it."""
        one = self.one
        one.part("staged bracket")
        entry = self.place(
            action="BUY", totalQuantity=1, orderType="MKT", orderRef="a:E", transmit=False
        )
        one.barrier()
        children = {
            "parentId": entry,
            "tif": "GTC",
            "action": "SELL",
            "totalQuantity": 1,
            "ocaGroup": "a",
            "ocaType": 1,
        }
        stop = {
            **children,
            "orderType": "STP",
            "auxPrice": self.last - 80 * TICK,
            "orderRef": "a:S",
        }
        stop_id = self.place(**stop, transmit=False)
        one.barrier()
        target_id = self.place(
            **children, orderType="LMT", lmtPrice=self.last + 80 * TICK, orderRef="a:T"
        )
        one.barrier()
        one.part("bracket fills")
        step_until(lambda: self.done(entry), "the entry", one)
        one.barrier()
        one.part("move the stop")
        stop["auxPrice"] += 8 * TICK
        self.place(**stop, order_id=stop_id, transmit=True)
        one.barrier()
        step(one)
        one.ask_all("openOrderEnd", "reqOpenOrders")
        one.ask_all("positionEnd", "reqPositions")
        one.part("end the bracket")
        flat = self.place(
            action="SELL",
            totalQuantity=1,
            orderType="MKT",
            ocaGroup="a",
            ocaType=1,
            orderRef="a:F1",
        )
        step_until(lambda: self.done(flat), "the exit", one)
        one.barrier()
        for order_id in (stop_id, target_id):
            assert one.status_of(order_id) == "Cancelled", one.status_of(order_id)
        one.call("cancelPositions")

    def refused(self):
        """Cancel what works, what is gone and what never was; send what must be refused."""
        one = self.one
        one.part("cancel")
        order = self.place(
            action="BUY",
            totalQuantity=1,
            orderType="LMT",
            lmtPrice=self.last - 200 * TICK,
            orderRef="b:E",
        )
        one.barrier()
        step(one)
        one.connection.cancel_order(order)
        step(one)
        one.barrier()
        assert one.status_of(order) == "Cancelled", one.status_of(order)
        one.part("cancel what is gone")
        one.connection.cancel_order(order)
        one.connection.cancel_order(order + 500)
        one.barrier()
        one.part("off the grid")
        self.place(
            action="BUY", totalQuantity=1, orderType="LMT", lmtPrice=self.last + 0.1, orderRef="c:E"
        )
        one.barrier()
        one.part("no such order type")
        self.place(action="BUY", totalQuantity=1, orderType="NOSUCH", orderRef="d:E")
        one.barrier()
        one.part("no such contract")
        unknown = dict(
            self.fields, conId=0, localSymbol="ESZ99", lastTradeDateOrContractMonth="209912"
        )
        one.place(
            one.connection.contract(**unknown),
            action="BUY",
            totalQuantity=1,
            orderType="MKT",
            tif="DAY",
            orderRef="e:E",
            **self.common,
        )
        one.barrier()
        one.part("too large for the account")
        self.place(
            action="BUY",
            totalQuantity=90000,
            orderType="LMT",
            lmtPrice=self.last - 4 * TICK,
            orderRef="g:E",
        )
        one.barrier()

    def market_order(self):
        """Buy and sell at the market."""
        one = self.one
        one.part("market order")
        for action in ("BUY", "SELL"):
            order = self.place(action=action, totalQuantity=1, orderType="MKT", orderRef="h:E")
            step_until(lambda order=order: self.done(order), "the market order", one)
            one.barrier()

    def partial_fills(self):
        """Buy more than one trade gives."""
        one = self.one
        one.part("partial fills")
        order = self.place(
            action="BUY",
            totalQuantity=8,
            orderType="LMT",
            lmtPrice=self.last + 8 * TICK,
            orderRef="i:E",
        )
        step_until(lambda: self.done(order), "the large order", one)
        one.barrier()
        flat = self.place(action="SELL", totalQuantity=8, orderType="MKT", orderRef="i:F1")
        step_until(lambda: self.done(flat), "the large exit", one)
        one.barrier()

    def oca(self):
        """Let one of two orders fill: the other goes."""
        one = self.one
        one.part("one cancels the other")
        group = {"ocaGroup": "k", "ocaType": 1, "totalQuantity": 1, "action": "BUY"}
        far = self.place(**group, orderType="LMT", lmtPrice=self.last - 200 * TICK, orderRef="k:1")
        one.barrier()
        near = self.place(**group, orderType="LMT", lmtPrice=self.last + 8 * TICK, orderRef="k:2")
        step_until(lambda: self.done(near), "the near order", one)
        one.barrier()
        assert one.status_of(far) == "Cancelled", one.status_of(far)

    def what_if(self):
        """Ask what an order would need."""
        one = self.one
        one.part("what if")
        self.place(action="BUY", totalQuantity=1, orderType="MKT", whatIf=True, orderRef="l:E")
        one.barrier()

    def reports(self):
        """Ask for executions, orders, results."""
        one = self.one
        one.part("reports")
        make = one.connection.execution_filter
        one.ask("execDetailsEnd", "reqExecutions", make())
        one.ask("execDetailsEnd", "reqExecutions", make(side="SELL", symbol="ES", secType="FUT"))
        one.ask("execDetailsEnd", "reqExecutions", make(clientId=77))
        one.ask_all("openOrderEnd", "reqOpenOrders")
        one.ask_all("openOrderEnd", "reqAllOpenOrders")
        one.ask_all("completedOrdersEnd", "reqCompletedOrders", False)
        one.ask_all("completedOrdersEnd", "reqCompletedOrders", True)
        one.ask("pnlSingle", "reqPnLSingle", one.account, "", self.fields["conId"])
        one.call("cancelPnLSingle", one.last_request)
        one.ask_all("positionEnd", "reqPositions")
        one.ask_all("accountDownloadEnd", "reqAccountUpdates", True, one.account)
        one.call("reqAccountUpdates", False, one.account)
        one.barrier()

    def global_cancel(self):
        """Cancel all that works."""
        one = self.one
        one.part("cancel all")
        for far in (300, 304):
            self.place(
                action="BUY",
                totalQuantity=1,
                orderType="LMT",
                lmtPrice=self.last - far * TICK,
                orderRef=f"m{far}:E",
            )
            one.barrier()
        one.connection.global_cancel()
        step(one)
        one.barrier()
        one.ask_all("openOrderEnd", "reqAllOpenOrders")


def second_client(session, trading):
    """Let another client in: it sees what works, has numbers of its own, and places an order."""
    one = trading.one
    one.part("second client")
    two = Script(session, 2)
    mine = trading.place(
        action="BUY",
        totalQuantity=1,
        orderType="LMT",
        lmtPrice=trading.last - 200 * TICK,
        orderRef="n:E",
    )
    one.barrier()
    two.ask_all("openOrderEnd", "reqOpenOrders")
    two.ask_all("openOrderEnd", "reqAllOpenOrders")
    contract = two.connection.contract(**trading.fields)
    theirs = two.place(
        contract,
        action="BUY",
        totalQuantity=1,
        orderType="LMT",
        lmtPrice=trading.last - 204 * TICK,
        tif="DAY",
        orderRef="o:E",
        **trading.common,
    )
    two.barrier()
    step(one, two)
    one.barrier()
    two.barrier()
    one.part("each cancels its own")
    one.connection.cancel_order(mine)
    two.connection.cancel_order(theirs)
    step(one, two)
    one.barrier()
    two.barrier()
    assert one.status_of(mine) == "Cancelled", one.status_of(mine)
    assert two.status_of(theirs) == "Cancelled", two.status_of(theirs)
    two.connection.close()
