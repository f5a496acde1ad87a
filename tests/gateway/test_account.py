"""Positions, cash, margins and profits of an account."""

from dataclasses import replace

import pytest
from gateway.exchange_samples import ES, MES, future
from hypothesis import given
from hypothesis import strategies as st

from mia.gateway.venue.account import Account, Profit

OIL = replace(future(con_id=9, name="CLZ25"), symbol="CL", multiplier="1000")


class Prices:
    def __init__(self):
        self.by_con_id = {}

    def __call__(self, contract):
        return self.by_con_id.get(contract.con_id)


def an_account(cash=100_000.0):
    prices = Prices()
    return Account("DU1", prices, cash), prices.by_con_id


def test_average_cost_is_price_times_multiplier():
    account, _ = an_account()
    account.apply(ES, 1, 6000.0, 3.45, "a")
    account.apply(ES, 1, 6001.0, 3.45, "b")
    held = account.positions[1]
    assert (held.quantity, held.average_price, held.average_cost) == (2, 6000.5, 300_025.0)


def test_closing_realizes_against_the_average():
    account, _ = an_account()
    assert account.apply(ES, 2, 6000.0, 6.90, "a") is None
    assert account.apply(ES, -1, 6002.0, 3.45, "b") == pytest.approx(100 - 6.90)
    assert account.positions[1].average_price == 6000.0
    assert account.realized == 100.0
    assert account.cash == pytest.approx(100_000 + 100 - 10.35)


def test_a_fill_through_zero_closes_and_opens():
    account, _ = an_account()
    account.apply(ES, 1, 6000.0, 3.45, "a")
    realized = account.apply(ES, -3, 6001.0, 10.35, "b")
    assert realized == pytest.approx(50 - 6.90)
    held = account.positions[1]
    assert (held.quantity, held.average_price) == (-2, 6001.0)


def test_open_profit_follows_the_market():
    account, prices = an_account()
    account.apply(MES, -2, 6000.0, 1.92, "a")
    assert account.unrealized == 0.0
    prices[2] = 5990.0
    assert account.unrealized == 100.0
    assert account.equity == pytest.approx(100_000 - 1.92 + 100)
    value = account.value(2)
    assert (value.market_value, value.unrealized) == (-59_900.0, 100.0)


def test_margins_are_those_of_the_instrument():
    account, _ = an_account()
    account.apply(ES, 2, 6000.0, 6.90, "a")
    account.apply(MES, -1, 6000.0, 0.96, "b")
    assert account.initial_margin == 50_400.0
    assert account.maintenance_margin == pytest.approx(50_400 / 1.1)
    assert account.initial_margin_with(ES, -1) == 26_400.0
    assert account.initial_margin_with(ES, -3) == 26_400.0
    assert account.maintenance_margin_with(MES, 1) == pytest.approx(48_000 / 1.1)


def test_daily_profit_counts_from_the_start_of_the_trading_day():
    account, prices = an_account()
    prices[1] = 6000.0
    account.apply(ES, 1, 6000.0, 3.45, "a")
    prices[1] = 6010.0
    assert account.profit().daily == pytest.approx(500 - 3.45)
    account.start_day()
    assert account.profit().daily == 0.0
    prices[1] = 6011.0
    assert account.profit() == Profit(pytest.approx(50.0), 550.0, 0.0)
    assert account.profit_of(1).daily == pytest.approx(50.0)
    account.apply(ES, -1, 6011.0, 3.45, "b")
    assert account.profit_of(1).realized == pytest.approx(550.0)
    assert account.profit_of(1).daily == pytest.approx(50.0)
    account.start_day()
    assert dict(account.positions) == {}


def test_a_seeded_position_needs_no_known_instrument():
    account, prices = an_account()
    account.seed(OIL, 3, 70.0)
    assert (account.quantity(9), account.initial_margin, account.equity) == (3, 0.0, 100_000.0)
    prices[9] = 71.0
    assert account.profit().daily == 3000.0


def test_values_are_texts_with_currencies():
    account, _ = an_account()
    account.apply(ES, 1, 6000.0, 3.45, "a")
    values = account.values()
    assert values["NetLiquidation"] == ("99996.55", "USD")
    assert values["InitMarginReq"] == ("24000.00", "USD")
    assert values["AvailableFunds"] == ("75996.55", "USD")
    assert values["AccountCode"] == ("DU1", "")
    assert all(text and currency in ("USD", "") for text, currency in values.values())


def test_a_corrected_fill_is_booked_at_its_new_price():
    account, _ = an_account()
    account.apply(ES, 1, 6000.0, 3.45, "a")
    account.apply(ES, -1, 6002.0, 3.45, "b")
    account.rebook("b", 6003.0)
    assert account.realized == 150.0
    account.rebook("b", None)
    assert account.quantity(1) == 1
    assert account.cash == pytest.approx(100_000 - 3.45)
    with pytest.raises(KeyError):
        account.rebook("c", None)


fills = st.lists(
    st.tuples(st.sampled_from([-3, -2, -1, 1, 2, 3]), st.integers(23_900, 24_100), st.booleans()),
    max_size=20,
)


@given(fills, st.data())
def test_equity_is_what_the_trades_have_won_and_corrections_leave_no_trace(trades, data):
    account, prices = an_account()
    prices[1] = 6000.0
    won = 0.0
    for k, (quantity, ticks, new_day) in enumerate(trades):
        account.apply(ES, quantity, ticks * 0.25, 3.45 * abs(quantity), str(k))
        won += quantity * (6000.0 - ticks * 0.25) * 50 - 3.45 * abs(quantity)
        if new_day:
            account.start_day()
    assert account.equity == pytest.approx(100_000 + won)
    assert account.quantity(1) == sum(quantity for quantity, _, _ in trades)
    if trades:
        which = data.draw(st.integers(0, len(trades) - 1))
        before = account.equity, account.quantity(1)
        account.rebook(str(which), 1.0)
        account.rebook(str(which), trades[which][1] * 0.25)
        assert (account.equity, account.quantity(1)) == pytest.approx(before)
