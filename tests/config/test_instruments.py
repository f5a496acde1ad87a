import pytest

from mia.config.instruments import INSTRUMENTS, MONTH_CODES, TICK, instrument
from mia.errors import ConfigError


@pytest.mark.parametrize(("symbol", "multiplier"), [("ES", 50.0), ("MES", 5.0), ("NQ", 20.0)])
def test_a_point_is_worth_what_the_exchange_says(symbol: str, multiplier: float) -> None:
    found = instrument(symbol)
    assert found.symbol == symbol
    assert found.multiplier == multiplier
    assert found.tick_value == multiplier * TICK


def test_a_micro_is_a_tenth() -> None:
    assert instrument("MES").tick_value * 10 == instrument("ES").tick_value
    assert instrument("MES").margin * 10 == instrument("ES").margin


def test_months_are_those_of_the_quarters() -> None:
    assert MONTH_CODES == {3: "H", 6: "M", 9: "U", 12: "Z"}


@pytest.mark.parametrize("symbol", ["GC", "es", "", "ESU24"])
def test_another_symbol_is_refused_with_those_that_are_known(symbol: str) -> None:
    with pytest.raises(ConfigError, match=f"unknown symbol '{symbol}': .*{', '.join(INSTRUMENTS)}"):
        instrument(symbol)
