"""Choose the contracts of a chain that few market-data lines can follow.

Ranked by gamma times open interest alone, most expiries would lose the pairs of call and put near
the money that their forward is read from, and a chain with many such expiries is of no use. So
whole expiries are chosen first, each with its pairs, and the rest goes to the largest contracts.
"""

import numpy as np
from numpy.typing import NDArray

from mia.core.chain import Chain, Root
from mia.data.chains.providers import Contract

PAIRS = 6
"""Strikes near the money of which an expiry needs call and put."""

FOR_PAIRS = 0.5
"""Most of the contracts that may go to pairs."""


def choose_contracts(
    chain: Chain,
    gamma: NDArray[np.float64],
    *,
    limit: int = 2000,
    after: int = 0,
    listed: NDArray[np.bool_] | None = None,
) -> tuple[list[Contract], NDArray[np.float64]]:
    """Choose expiries by their gross gamma, and contracts within them.

    Parameters
    ----------
    chain : Chain
        Yesterday's whole chain, with quotes.
    gamma : ndarray of float64, shape (len(chain),)
        Per point; nan counts as 0.
    limit : int
        Most contracts.
    after : int
        Only series that settle later, ns UTC.
    listed : ndarray of bool, shape (len(chain),), optional
        Contracts that the broker has.

    Returns
    -------
    contracts : list of Contract
        The one with the largest gamma times open interest first.
    shares : ndarray of float64
        Share of each in the gross gamma of the contracts that settle later.
    """
    alive = chain.settle_ns > after
    weight = np.where(alive, np.nan_to_num(gamma) * np.nan_to_num(chain.open_interest), 0.0)
    total = float(weight.sum())
    usable = alive if listed is None else alive & listed
    series, owner = np.unique(
        np.column_stack((chain.root.astype(np.int64), chain.settle_ns)),
        axis=0,
        return_inverse=True,
    )
    owner = owner.reshape(-1)
    gross = np.bincount(owner, weights=np.where(usable, weight, 0.0), minlength=len(series))
    chosen = np.zeros(len(chain), np.bool_)
    allowed = np.zeros(len(series), np.bool_)
    for k in np.argsort(-gross, kind="stable"):
        if not gross[k] > 0.0:
            break
        pairs = _near_money(chain, np.flatnonzero((owner == k) & usable))
        if int(chosen.sum()) + len(pairs) > FOR_PAIRS * limit:
            break
        if len(pairs) == 2 * PAIRS:
            chosen[pairs] = allowed[k] = True
    rest = np.flatnonzero(usable & allowed[owner] & ~chosen & (weight > 0.0))
    rest = rest[np.argsort(-weight[rest], kind="stable")]
    chosen[rest[: limit - int(chosen.sum())]] = True
    rows = np.flatnonzero(chosen)
    rows = rows[np.argsort(-weight[rows], kind="stable")]
    contracts = [
        Contract(
            Root(int(chain.root[k])),
            int(chain.expiry[k]),
            float(chain.strike[k]),
            int(chain.right[k]),
        )
        for k in rows
    ]
    return contracts, weight[rows] / total if total > 0.0 else weight[rows]


def _near_money(chain: Chain, rows: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the rows of calls and puts at the strikes at which both cost about the same."""
    calls = {float(chain.strike[k]): int(k) for k in rows if chain.right[k] > 0}
    puts = {float(chain.strike[k]): int(k) for k in rows if chain.right[k] < 0}
    both = [
        (abs(_mid(chain, calls[strike]) - _mid(chain, puts[strike])), calls[strike], puts[strike])
        for strike in calls.keys() & puts.keys()
    ]
    near = sorted(pair for pair in both if pair[0] < np.inf)[:PAIRS]
    return np.array([row for _, *pair in near for row in pair], np.intp)


def _mid(chain: Chain, row: int) -> float:
    bid, ask = float(chain.bid[row]), float(chain.ask[row])
    return 0.5 * (bid + ask) if 0.0 < bid < ask else float("inf")
