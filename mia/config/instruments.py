"""Contracts that MIA trades or reads."""

from dataclasses import dataclass

from mia.errors import ConfigError

TICK = 0.25
"""Index points of one tick, for every instrument below."""

MONTH_CODES = {3: "H", 6: "M", 9: "U", 12: "Z"}


@dataclass(frozen=True, slots=True)
class Instrument:
    """A futures contract as the exchange defines it.

    Attributes
    ----------
    symbol : str
        Root, as in ``ES``.
    tick_value : float
        USD per tick and contract.
    margin : float
        USD of initial margin per contract assumed where no broker can be asked.
    price_scale_max : float
        Largest plausible price in points; a feed above it is scaled by 100.
    """

    symbol: str
    tick_value: float
    margin: float
    price_scale_max: float

    @property
    def multiplier(self) -> float:
        """USD per index point and contract."""
        return self.tick_value / TICK


INSTRUMENTS = {
    "ES": Instrument("ES", 12.50, 24_000.0, 30_000.0),
    "MES": Instrument("MES", 1.25, 2_400.0, 30_000.0),
    "NQ": Instrument("NQ", 5.00, 35_000.0, 120_000.0),
}


def instrument(symbol: str) -> Instrument:
    """Return the instrument named `symbol`.

    Raises
    ------
    ConfigError
        If MIA does not know it.
    """
    try:
        return INSTRUMENTS[symbol]
    except KeyError:
        known = ", ".join(INSTRUMENTS)
        raise ConfigError(f"unknown symbol {symbol!r}: choose one of {known}") from None
