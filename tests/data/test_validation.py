from dataclasses import replace

import numpy as np
import pytest
from data.samples import bars, trades
from hypothesis import given, settings
from hypothesis import strategies as st

from mia.core import sessions
from mia.core.base_types import MISSING_PRICE
from mia.data.raw import RawBars, RawTrades, SourceFormat
from mia.data.validation import order_rows, validate_bars, validate_trades
from mia.errors import DataError


def changed(values: np.ndarray, **at: float) -> np.ndarray:
    out = values.copy()
    for key, value in at.items():
        out[int(key[1:])] = value
    return out


def one_issue(raw: RawTrades | RawBars) -> tuple[int, str, str]:
    checked = validate_trades(raw) if isinstance(raw, RawTrades) else validate_bars(raw)
    (issue,) = checked.issues
    return issue.row, issue.action, issue.reason


def test_clean_trades_pass_with_prices_in_ticks() -> None:
    raw = trades(count=50)
    checked = validate_trades(raw, SourceFormat.DBN)
    columns = checked.columns
    assert checked.issues == []
    assert (columns["price"] * 0.25 == raw.price).all()
    assert columns["price"].dtype == columns["bid_price"].dtype == np.int32
    assert (columns["size"] == raw.size).all()
    assert (checked.session_ids == 20190809).all()
    assert set(columns["source"]) == {SourceFormat.DBN}
    assert columns["ts_recv"].mask.all()


def test_a_price_scale_turns_cents_into_points() -> None:
    raw = trades(count=10)
    cents = trades(
        count=10, price=raw.price * 100, bid_price=None, ask_price=None, price_scale=0.01
    )
    columns = validate_trades(cents).columns
    assert (columns["price"] == validate_trades(raw).columns["price"]).all()
    assert (columns["bid_price"] == MISSING_PRICE).all()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"price": {"_3": np.nan}}, "price_not_a_number"),
        ({"price": {"_3": np.inf}}, "price_not_a_number"),
        ({"price": {"_3": 2900.1}}, "price_off_grid"),
        ({"price": {"_3": 2900.25 + 1e-6}}, "price_off_grid"),
        ({"price": {"_3": 0.0}}, "price_implausible"),
        ({"price": {"_3": 290025.0}}, "price_implausible"),
        ({"size": {"_3": 0}}, "zero_size"),
        ({"size": {"_3": -1}}, "bad_size"),
        ({"size": {"_3": 2**31}}, "bad_size"),
        ({"aggressor_side": {"_3": 2}}, "bad_side"),
        ({"ts_event": {"_3": 0}}, "outside_calendar"),
        ({"ts_event": {"_3": sessions.session_open(20190811)}}, "closed_day"),
        ({"ts_event": {"_3": sessions.session_open(20190923)}}, "after_expiry"),
    ],
)
def test_a_bad_trade_is_rejected_with_its_reason(changes: dict, reason: str) -> None:
    good = trades(count=8)
    columns = {name: changed(getattr(good, name), **at) for name, at in changes.items()}
    raw = trades(count=8, first_row=100, **columns)
    assert one_issue(raw) == (103, "rejected", reason)
    assert len(validate_trades(raw).columns["price"]) == 7


def test_all_bad_rows_are_counted_though_not_all_are_listed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mia.data.validation.MAX_ISSUES", 3)
    checked = validate_trades(trades(count=20, price=np.full(20, 290000.0)))
    assert checked.counts == {("rejected", "price_implausible"): 20}
    assert [issue.row for issue in checked.issues] == [0, 1, 2]
    assert len(checked.columns["price"]) == 0


def test_an_indicative_price_is_no_trade() -> None:
    flags = np.array([0, 4, 0, 0, 3], np.uint16)
    assert one_issue(trades(count=5, flags=flags)) == (1, "rejected", "indicative")


def test_a_price_within_a_millionth_of_a_tick_is_on_the_grid() -> None:
    good = trades(count=8)
    raw = trades(count=8, price=good.price + 0.9e-6 * 0.25)
    assert validate_trades(raw).issues == []


@pytest.mark.parametrize(
    ("bid", "ask", "reason"),
    [
        (2900.0, 2900.0, "crossed_quote"),
        (2900.25, 2900.0, "crossed_quote"),
        (2900.1, 2900.25, "quote_off_grid"),
        (-1.0, 2900.25, "quote_implausible"),
    ],
)
def test_a_bad_quote_is_forgotten_and_its_trade_kept(bid: float, ask: float, reason: str) -> None:
    good = trades(count=5)
    raw = trades(
        count=5,
        bid_price=changed(good.bid_price, _2=bid),
        ask_price=changed(good.ask_price, _2=ask),
    )
    assert one_issue(raw) == (2, "repaired", reason)
    columns = validate_trades(raw).columns
    assert columns["bid_price"][2] == columns["ask_price"][2] == MISSING_PRICE
    assert len(columns["price"]) == 5
    assert (columns["bid_price"] == MISSING_PRICE).sum() == 1


def test_half_a_quote_is_kept_and_no_issue() -> None:
    good = trades(count=5)
    checked = validate_trades(trades(count=5, bid_price=changed(good.bid_price, _2=np.nan)))
    assert checked.issues == []
    assert checked.columns["bid_price"][2] == MISSING_PRICE
    assert checked.columns["ask_price"][2] != MISSING_PRICE


def test_clean_bars_pass_unchanged() -> None:
    raw = bars()
    checked = validate_bars(raw)
    assert checked.issues == []
    assert (checked.columns["high"] * 0.25 == raw.high).all()
    assert checked.columns["front"].mask.all()


@pytest.mark.parametrize(
    ("name", "value", "action", "reason"),
    [
        ("high", 2900.0, "rejected", "high_low"),
        ("low", 2950.0, "rejected", "high_low"),
        ("close", np.nan, "rejected", "close_not_a_number"),
        ("open", 2925.13, "rejected", "open_off_grid"),
        ("volume", -5, "rejected", "negative_volume"),
        ("bid_volume", -1, "rejected", "negative_volume"),
        ("volume", 0, "dropped", "no_volume"),
        ("volume", 98, "rejected", "volume_mismatch"),
        ("volume", 99, "repaired", "volume_raised"),
        ("t_open", sessions.session_open(20190809) + 1, "rejected", "off_slot"),
        ("t_open", sessions.session_open(20190811), "rejected", "closed_day"),
    ],
)
def test_a_bad_bar_meets_its_rule(name: str, value: float, action: str, reason: str) -> None:
    column = changed(getattr(bars(), name), _4=value)
    assert one_issue(bars(**{name: column})) == (4, action, reason)


def test_volume_may_lack_a_thousandth_and_one_lot() -> None:
    bid, ask = np.full(273, 5_000), np.full(273, 5_011)
    checked = validate_bars(bars(lots=10_000, bid_volume=bid, ask_volume=ask))
    assert (checked.columns["volume"] == 10_011).all()
    too_much = validate_bars(bars(lots=10_000, bid_volume=bid, ask_volume=ask + 1))
    assert len(too_much.columns["volume"]) == 0


def test_columns_of_unequal_length_and_unknown_names_are_refused() -> None:
    with pytest.raises(DataError, match="column size of ESU19 has 3 rows, not 5"):
        validate_trades(trades(count=5, size=np.ones(3, np.int64)))
    with pytest.raises(DataError, match="names no quarterly contract"):
        validate_trades(trades(count=5, contract="ESU9"))
    with pytest.raises(DataError, match="kind of trades"):
        validate_trades(trades(count=5, kind="quotes"))
    with pytest.raises(DataError, match="must divide a day"):
        validate_bars(replace(bars(), width_s=7))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 3)), max_size=40), st.booleans())
def test_ordering_is_a_stable_sort_that_keeps_the_newest_of_equal_keys(
    rows: list[tuple[int, int]], unique: bool
) -> None:
    columns = {
        "t": np.array([t for t, _ in rows], np.int64),
        "seq": np.array([s for _, s in rows], np.int64),
        "row": np.arange(len(rows)),
    }
    kept, repeated, late = order_rows(columns, "t", ("t", "seq") if unique else ())
    newest = {key: k for k, key in enumerate(rows)}
    expected = sorted(range(len(rows)), key=lambda k: rows[k][0])
    if unique:
        expected = [k for k in expected if newest[rows[k]] == k]
    assert kept["row"].tolist() == expected
    assert sorted([*kept["row"], *repeated["row"]]) == list(range(len(rows)))
    assert late == sum(t < max(u for u, _ in rows[: k + 1]) for k, (t, _) in enumerate(rows))
