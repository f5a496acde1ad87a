"""Orders by themselves: what clients hear of them and when they fill."""

from gateway.exchange_samples import (
    Market,
    bracket,
    order,
)


def test_a_market_order_is_told_in_the_order_of_the_wire():
    market = Market()
    market.place(order(1))
    market.trade(100, 101)
    assert market.heard.said == [
        ("openOrder", 1, "PreSubmitted"),
        ("orderStatus", 1, "PreSubmitted"),
        ("openOrder", 1, "Submitted"),
        ("orderStatus", 1, "Submitted"),
        ("execution", 1, 1),
        ("openOrder", 1, "Filled"),
        ("orderStatus", 1, "Filled"),
        ("position", "ESZ25", "DU1000001"),
    ]
    assert market.heard.fills() == [(1, 1, 1, 101)]


def test_bracket_target_fills_and_the_stop_goes():
    market = Market()
    market.place(*bracket(1, stop=90, target=110))
    market.trade(100)
    assert market.status(2) == ("PreSubmitted", "trigger")
    assert market.status(3) == ("Submitted", "")
    market.trade(111)
    assert market.heard.fills() == [(1, 1, 1, 101), (3, -1, 1, 110)]
    assert [market.status(k)[0] for k in (1, 2, 3)] == ["Filled", "Cancelled", "Filled"]
    assert market.position() == 0
