"""Points per unit of price: some feeds count in hundredths."""

import numpy as np
from numpy.typing import NDArray

from mia.config.instruments import TICK
from mia.data.importers.contracts import instrument_of
from mia.data.importers.reading import ImportLog
from mia.errors import ConfigError, FormatError

HUNDREDTHS = 0.01
ON_GRID = 0.9
"""Share of prices on the grid that makes a scale believable."""


def grid_share(prices: NDArray[np.float64]) -> float:
    """Return the share of prices in points that are whole ticks."""
    ticks = prices / TICK
    return float(np.mean(np.abs(ticks - np.rint(ticks)) < 1e-6))


class PriceScale:
    """Find the scale of a file from the prices of its blocks.

    A median above all that the instrument can cost, whose hundredth is below it and lies on
    the grid, is in hundredths. The first block decides; a later one may change it, since a
    file can have been written with two settings, but only to a scale that fits.

    Parameters
    ----------
    contract : str
        As in ``ESU19``.
    name : str
        Of the file, for messages.
    given : float or None
        The scale, if it is known.
    log : ImportLog
        Told when prices are scaled.
    """

    def __init__(self, contract: str, name: str, given: float | None, log: ImportLog) -> None:
        if given is not None and not 0.0 < given < np.inf:
            raise ConfigError(f"the price scale must be positive, was {given}")
        self._instrument = instrument_of(contract)
        self._name = name
        self._given = given
        self._log = log
        self._scale: float | None = given

    def of(self, prices: NDArray[np.float64]) -> float:
        """Return the points per unit of `prices`.

        Raises
        ------
        FormatError
            If the first prices seen are not plausible in any scale.
        """
        if self._given is not None:
            return self._given
        prices = prices[np.isfinite(prices) & (prices > 0.0)]
        if len(prices) == 0:
            return self._scale or 1.0
        median = float(np.median(prices))
        limit = self._instrument.price_scale_max
        if median <= limit:
            found = 1.0
        elif median * HUNDREDTHS <= limit and grid_share(prices * HUNDREDTHS) >= ON_GRID:
            found = HUNDREDTHS
        elif self._scale is not None:
            return self._scale
        else:
            raise FormatError(
                f"{self._name}: a price of {median:g} is none of {self._instrument.symbol}, "
                "nor is its hundredth: check the contract, or give the price scale"
            )
        if found != self._scale:
            if found == HUNDREDTHS:
                self._log.note(
                    f"prices are in hundredths of a point, as {median:g}: divided by 100"
                )
            elif self._scale is not None:
                self._log.note("the scale of prices changes within the file")
            self._scale = found
        return found
