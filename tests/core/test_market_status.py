"""The market's limits, halts and hours."""

import numpy as np
import pytest

from mia.core import sessions
from mia.core.base_types import TradeBlock
from mia.core.market_status import MarketCondition, MarketStatus

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
DAY, NEXT = 20250311, 20250312
OPEN = sessions.session_open(DAY)
"""18:00 New York of the day before."""

REFERENCE = 20_000


def at(clock: str, day: int = DAY) -> int:
    """Return an instant of a session by its New York wall clock."""
    hours, minutes, *seconds = (int(part) for part in clock.split(":"))
    since = (hours - 18) % 24 * 60 + minutes
    return sessions.session_open(day) + since * MINUTE + sum(seconds) * SECOND


def trades(*prints: tuple[int, int, int]) -> TradeBlock:
    ts, price, size = (np.array(column) for column in zip(*prints, strict=True))
    none = np.full(len(ts), -(2**31), np.int32)
    return TradeBlock(
        "ESH25",
        ts.astype(np.int64),
        price.astype(np.int32),
        size.astype(np.int32),
        np.zeros(len(ts), np.int8),
        none,
        none,
    )


@pytest.fixture
def status() -> MarketStatus:
    made = MarketStatus()
    made.set_reference(DAY, REFERENCE)
    return made


@pytest.mark.parametrize(
    ("clock", "limits"),
    [
        ("18:00", (18_600, 21_400)),
        ("09:29:59", (18_600, 21_400)),
        ("09:30", (18_600, None)),
        ("15:24:59", (18_600, None)),
        ("15:25", (16_000, None)),
        ("15:59:59", (16_000, None)),
    ],
)
def test_limits_are_those_of_the_hour(status, clock: str, limits) -> None:
    assert status.limits(at(clock)) == limits


def test_a_trade_below_a_limit_proves_the_next(status) -> None:
    now = at("10:00")
    status.on_trades(trades((now, 18_600, 1)))
    assert status.limits(now) == (18_600, None)
    assert status.condition(now) is MarketCondition.LIMIT_DOWN
    status.on_trades(trades((now + MINUTE, 18_599, 1)))
    assert status.limits(now + MINUTE) == (17_400, None)
    assert status.condition(now + MINUTE) is MarketCondition.OPEN
    status.on_trades(trades((now + 2 * MINUTE, 17_399, 1)))
    assert status.limits(now + 2 * MINUTE) == (16_000, None)
    status.on_trades(trades((now + 3 * MINUTE, 16_000, 1)))
    assert status.condition(now + 3 * MINUTE) is MarketCondition.LIMIT_DOWN


def test_limits_lie_inside_the_percentages() -> None:
    status = MarketStatus()
    status.set_reference(DAY, 20_001)
    assert status.limits(at("03:00")) == (18_601, 21_401)


def test_the_last_half_minute_of_regular_hours_is_the_next_reference(status) -> None:
    status.on_trades(
        trades(
            (at("15:59:29"), 30_000, 9),
            (at("15:59:30"), 19_000, 1),
            (at("15:59:59"), 19_040, 3),
            (at("16:00"), 30_000, 9),
        )
    )
    fixing = (19_000 + 3 * 19_040) / 4
    assert status.limits(at("16:30")) == (17_698, int(1.07 * fixing))
    assert status.limits(at("18:00", NEXT)) == (17_698, int(1.07 * fixing))
    assert status.limits(at("10:00", NEXT)) == (17_698, None)


def test_after_the_close_the_twenty_percent_of_the_day_still_hold(status) -> None:
    status.on_trades(trades((at("15:59:45"), 16_100, 1)))
    low, high = status.limits(at("16:30"))
    assert (low, high) == (16_000, 17_227)


def test_a_reference_lasts_over_a_weekend() -> None:
    status = MarketStatus()
    friday, monday = 20250314, 20250317
    status.set_reference(friday, REFERENCE)
    status.on_trades(trades((at("15:59:45", friday), 20_100, 1)))
    for hours in (30, 50, 71):
        status.is_open(at("16:30", friday) + hours * 60 * MINUTE)
    assert status.limits(at("03:00", monday)) == (18_693, 21_507)


def test_without_a_reference_there_are_no_limits_and_no_halt() -> None:
    status = MarketStatus()
    now = at("10:00")
    status.on_trades(trades((now, 20_000, 1)))
    assert status.limits(now) == (None, None)
    assert status.believable(now) == (None, None)
    assert status.is_halted(now) is False


def test_a_session_that_was_not_seen_to_its_end_gives_no_reference(status) -> None:
    status.on_trades(trades((at("10:00"), 20_000, 1)))
    assert status.limits(at("18:00", NEXT)) == (None, None)


@pytest.mark.parametrize(
    ("clock", "price", "condition"),
    [
        ("20:00", 21_400, MarketCondition.LIMIT_UP),
        ("20:00", 21_399, MarketCondition.OPEN),
        ("20:00", 18_600, MarketCondition.LIMIT_DOWN),
        ("10:00", 21_400, MarketCondition.OPEN),
        ("10:00", 18_600, MarketCondition.LIMIT_DOWN),
    ],
)
def test_a_price_at_a_limit_is_a_locked_market(status, clock, price, condition) -> None:
    now = at(clock)
    status.on_trades(trades((now, price, 1)))
    assert status.condition(now) is condition
    assert status.is_halted(now) is (condition is not MarketCondition.OPEN)


def test_a_price_of_the_session_before_is_at_no_limit(status) -> None:
    status.on_trades(trades((at("15:59:45"), 20_000, 1), (at("16:59"), 21_400, 1)))
    assert status.condition(at("16:59")) is MarketCondition.LIMIT_UP
    assert status.condition(at("18:00", NEXT)) is MarketCondition.OPEN


def test_silence_in_regular_hours_may_be_a_halt(status) -> None:
    now = at("11:00")
    status.on_trades(trades((now, 20_000, 1)))
    assert status.is_halted(now + 30 * SECOND) is False
    assert status.is_halted(now + 31 * SECOND) is None
    assert status.condition(now + 31 * SECOND) is MarketCondition.SILENT
    status.on_trades(trades((now + 40 * SECOND, 20_000, 1)))
    assert status.is_halted(now + 41 * SECOND) is False


def test_silence_at_night_is_the_night(status) -> None:
    now = at("02:00")
    status.on_trades(trades((now, 20_000, 1)))
    assert status.is_halted(now + 600 * SECOND) is False


def test_a_halt_code_counts_until_it_is_lifted(status) -> None:
    now = at("11:00")
    status.on_trades(trades((now, 20_000, 1)))
    for code in (1, 2):
        status.on_halt(code)
        assert status.condition(now) is MarketCondition.HALTED
        assert status.is_halted(now) is True
    for code in (0, -1):
        status.on_halt(code)
        assert status.is_halted(now) is False


@pytest.mark.parametrize("clock", ["17:00", "17:59"])
def test_the_daily_break_is_closed(status, clock: str) -> None:
    assert not status.is_open(at(clock))
    assert status.condition(at(clock)) is MarketCondition.CLOSED
    assert status.is_halted(at(clock)) is False


def test_saturday_is_closed(status) -> None:
    assert status.condition(at("12:00", 20250315)) is MarketCondition.CLOSED


def test_what_can_be_believed_reaches_to_the_last_level(status) -> None:
    assert status.believable(at("10:00")) == (16_000, None)
    assert status.believable(at("02:00")) == (18_600, 21_400)


def test_a_block_over_two_sessions_is_two(status) -> None:
    status.on_trades(trades((at("15:59:45"), 20_200, 1), (at("18:00", NEXT), 20_300, 1)))
    assert status.limits(at("18:01", NEXT)) == (18_786, 21_614)
    assert status.last_price == 20_300


def test_another_contract_has_other_limits(status) -> None:
    status.on_trades(trades((at("10:00"), 20_000, 1)))
    status.start_contract()
    assert status.limits(at("10:00")) == (None, None)
    assert (status.last_price, status.last_ts) == (None, 0)


@pytest.mark.parametrize("price", [0.0, -1.0, float("nan"), float("inf")])
def test_a_reference_is_a_price(status, price: float) -> None:
    with pytest.raises(ValueError, match="a reference must be above 0"):
        status.set_reference(DAY, price)
