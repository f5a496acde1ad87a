import numpy as np
import pytest

from mia.core.chain import Root
from mia.core.ibkr.options import OptionLines
from mia.data.chains import Contract

NOW = 1_741_615_200 * 10**9


class Desk:
    """Keeps the streams that lines open, and what a listener hears of them."""

    def __init__(self):
        self.streams, self.heard, self.refused = {}, [], []
        self.contract = dict
        self.lines = OptionLines(
            self, self, self, self, lambda: NOW, on_refused=lambda *told: self.refused.append(told)
        )

    def add(self, stream):
        self.streams[stream.key] = stream

    def cancelMktData(self, number):
        pass

    def reqMktData(self, number, wire, *rest):
        self.wire = wire

    def on_quote(self, contract, bid, ask, now):
        self.heard.append((bid, ask, now))


@pytest.mark.parametrize(
    ("root", "expiry", "last"),
    [
        (Root.SPXW, 20250321, 20250321),
        # Settled by the opening of the third Friday, traded until the day before.
        (Root.SPX, 20250321, 20250320),
        # Good Friday: settled on Thursday, traded until Wednesday.
        (Root.SPX, 20250418, 20250416),
    ],
)
def test_the_gateway_is_told_the_last_trading_day(root, expiry, last):
    desk = Desk()
    desk.lines.subscribe(Contract(root, expiry, 5600.0, 1), False)
    (stream,) = desk.streams.values()
    stream.open(7)
    assert desk.wire["lastTradeDateOrContractMonth"] == str(last)
    assert desk.wire["tradingClass"] == root.name


def test_quotes_that_are_not_live_are_no_quotes():
    desk = Desk()
    desk.lines.subscribe(Contract(Root.SPXW, 20250321, 5600.0, 1), False)
    (stream,) = desk.streams.values()
    tick = ["1", "6", "7", "1", "12.5", "", "0"]
    stream.take(stream, tick)
    assert len(desk.heard) == 1
    stream.data_type = 2
    stream.take(stream, tick)
    assert len(desk.heard) == 1
    assert np.isnan(desk.heard[0][1])


def test_a_refusal_goes_to_who_rotates_the_lines():
    desk = Desk()
    contract = Contract(Root.SPXW, 20250321, 5600.0, -1)
    desk.lines.subscribe(contract, False)
    (stream,) = desk.streams.values()
    stream.refused("354: not subscribed")
    assert desk.refused == [(contract, "354: not subscribed")]
