"""VIX, news and the address of a live trader."""

from math import isnan, nan

import pytest

from mia.config.settings import load_settings
from mia.errors import ConfigError
from mia.trader.live_parts import LiveVix, gateway_address, news_windows

DAY = 86_400 * 1_000_000_000


def test_vix_is_known_for_a_day_after_it_was_told() -> None:
    vix = LiveVix(lambda: 5 * DAY)
    assert isnan(vix.at(5 * DAY))
    vix.publish("index", ("VIX", 0, 17.5))
    assert vix.at(6 * DAY - 1) == 17.5
    assert isnan(vix.at(6 * DAY))


@pytest.mark.parametrize("value", [nan, 0.0, -1.0, float("inf")])
def test_what_is_no_level_is_not_taken(value: float) -> None:
    vix = LiveVix(lambda: DAY)
    vix.publish("index", ("VIX", 0, 20.0))
    vix.publish("index", ("VIX", 0, value))
    vix.publish("index", ("SPX", 0, 5000.0))
    assert vix.at(DAY) == 20.0


def test_without_a_calendar_no_instant_is_covered() -> None:
    assert news_windows(None)(DAY) is None


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ((), "ibkr.port and ibkr.account"),
        (("ibkr.port=4002",), "ibkr.account"),
        (("ibkr.port=4002", "ibkr.account=DU1", "ibkr.data_client_id=71"), "must differ"),
        (("ibkr.port=4002", "ibkr.account=U1"), "U1"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused(settings: tuple[str, ...], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        gateway_address(load_settings(None, ("feed=ibkr", *settings), environ={}))
