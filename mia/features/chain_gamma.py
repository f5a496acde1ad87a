"""Gamma of every contract of a chain, by which a rotation of lines ranks them."""

import numpy as np
from numpy.typing import NDArray

from mia.core.chain import Chain
from mia.features.option_book import option_book
from mia.features.option_forward import (
    estimate_rate,
    parity_forwards,
    parity_pairs,
    parity_spot,
)
from mia.features.option_greeks import contract_greeks
from mia.features.option_smile import fit_smile


def chain_gamma(chain: Chain) -> NDArray[np.float64]:
    """Return the gamma of each contract at the time of the quotes.

    Parameters
    ----------
    chain : Chain
        With quotes.

    Returns
    -------
    ndarray of float64, shape (len(chain),)
        Per index point; nan where the smile of an expiry says nothing, or for what has settled.
    """
    book = option_book(chain)
    pairs = parity_pairs(book)
    curve = estimate_rate(book, pairs)
    forwards = parity_forwards(book, pairs, curve)
    spot, _ = parity_spot(book, forwards, curve)
    gamma = np.full(len(chain), np.nan)
    gamma[book.rows] = contract_greeks(book, forwards, fit_smile(book, forwards, spot), spot).gamma
    return gamma
