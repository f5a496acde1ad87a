"""Assumptions about which side of each contract dealers hold.

Nobody publishes it. Every model is a guess, and every exposure says which one it rests on. Sides
taken from signed order flow would need every option trade with its quote; there is no such model.
"""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mia.features.option_book import OptionBook
from mia.features.option_smile import Smile

Floats = NDArray[np.float64]


class DealerModel(Protocol):
    """What a model must answer."""

    @property
    def name(self) -> str:
        """Short name that travels with every result."""
        ...

    def sizes(self, book: OptionBook) -> Floats:
        """Return the contracts that count, shape (n,), never negative."""
        ...

    def signs(self, book: OptionBook, smile: Smile) -> Floats:
        """Return the dealers' side of each contract, shape (n,): +1 long, -1 short."""
        ...


@dataclass(frozen=True, slots=True)
class FixedSigns:
    """The same side for all calls and the same for all puts.

    Attributes
    ----------
    name : str
    call, put : float
        Dealers' side: +1 long, -1 short.
    by_volume : bool
        Count the volume of the day instead of the open interest.
    """

    name: str
    call: float
    put: float
    by_volume: bool = False

    def sizes(self, book: OptionBook) -> Floats:
        """Return open interest, or the volume of the day."""
        return book.volume if self.by_volume else book.open_interest

    def signs(self, book: OptionBook, smile: Smile) -> Floats:
        """Return the side by right."""
        return np.where(book.right == 1, self.call, self.put)


@dataclass(frozen=True, slots=True)
class SkewAdjusted:
    """Dealers short puts, and long calls only as far as calls are cheap.

    Call overwriting presses the volatility of calls below that of the money; where investors
    buy calls instead, the 25-delta call stands as high as the money. The side of the calls of
    an expiry goes from +1 to 0 as the ratio of the two volatilities goes from `full` to `none`.

    Attributes
    ----------
    name : str
    full, none : float
        Volatility of the 25-delta call over that of the 50-delta option.
    """

    name: str = "skew_adj"
    full: float = 0.90
    none: float = 1.00

    def sizes(self, book: OptionBook) -> Floats:
        """Return open interest."""
        return book.open_interest

    def signs(self, book: OptionBook, smile: Smile) -> Floats:
        """Return the side by right and by the call skew of the expiry; +1 where it is unknown."""
        ratio = np.sqrt(smile.call25 / smile.mid50)
        side = np.clip((self.none - ratio) / (self.none - self.full), 0.0, 1.0)
        side = np.where(np.isfinite(ratio), side, 1.0)
        return np.where(book.right == 1, side[book.slice_of], -1.0)


@dataclass(frozen=True, slots=True)
class WithoutToday:
    """Another model without the series that settle this afternoon.

    Their open interest is the least certain: most of it opened after it was counted.

    Attributes
    ----------
    model : DealerModel
    """

    model: DealerModel

    @property
    def name(self) -> str:
        """Name of the other model with a suffix."""
        return f"{self.model.name}_ex_0dte"

    def sizes(self, book: OptionBook) -> Floats:
        """Return the sizes of the other model, 0 for today's series."""
        return np.where(book.expiring_today(), 0.0, self.model.sizes(book))

    def signs(self, book: OptionBook, smile: Smile) -> Floats:
        """Return the sides of the other model."""
        return self.model.signs(book, smile)


NAIVE = FixedSigns("naive", 1.0, -1.0)
"""Investors sell calls and buy puts; the usual assumption for an index."""
GROSS = FixedSigns("gross", 1.0, 1.0)
"""Scale, not a position."""
SHORT_ALL = FixedSigns("short_all", -1.0, -1.0)
"""Dealers short everything: the lower bound."""
VOLUME = FixedSigns("volume", 1.0, -1.0, by_volume=True)
"""Naive sides on the volume of the day, for series that open and settle within it."""
SKEW_ADJ = SkewAdjusted()
NAIVE_EX_0DTE = WithoutToday(NAIVE)

MODELS = MappingProxyType(
    {model.name: model for model in (NAIVE, GROSS, SHORT_ALL, VOLUME, SKEW_ADJ, NAIVE_EX_0DTE)}
)
