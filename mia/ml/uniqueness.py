"""Weights of labels that share time: a trade that overlaps others brings less that is new."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def average_uniqueness(starts: ArrayLike, ends: ArrayLike) -> NDArray[np.float64]:
    """Return the mean, over its span, of one over the number of labels that are open.

    Parameters
    ----------
    starts, ends : array_like of int64, shape (n,)
        Closed spans, in any unit and any order.

    Returns
    -------
    ndarray of float64, shape (n,)
        In (0, 1]: 1 for a label that overlaps no other. A span without length counts at its
        instant.

    Raises
    ------
    ValueError
        If the arrays differ in length or a span ends before it starts.

    Notes
    -----
    López de Prado (2018), "Advances in Financial Machine Learning", section 4.3, in continuous
    time: the span is cut at every start and end, so that the cost is O(n log n + n k).
    """
    begin, end = np.asarray(starts, dtype=np.int64), np.asarray(ends, dtype=np.int64)
    if begin.shape != end.shape:
        raise ValueError(f"starts and ends must have one shape, were {begin.shape}, {end.shape}")
    if (end < begin).any():
        raise ValueError("a label must not end before it starts")
    if not len(begin):
        return np.empty(0)
    edges = np.unique(np.concatenate((begin, end)))
    opened = np.searchsorted(np.sort(begin), edges, side="right")
    closed_before = np.searchsorted(np.sort(end), edges, side="right")
    # Between an edge and the next, what has begun by it and not ended by it is open.
    share = (opened - closed_before).astype(np.float64)
    with np.errstate(divide="ignore"):
        inverse = np.where(share > 0.0, 1.0 / share, 0.0)
    area = np.concatenate(([0.0], np.cumsum(inverse[:-1] * np.diff(edges))))
    first, last = np.searchsorted(edges, begin), np.searchsorted(edges, end)
    length = (end - begin).astype(np.float64)
    # At an instant every closed span that holds it is open.
    at_once = opened[first] - np.searchsorted(np.sort(end), begin, side="left")
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = (area[last] - area[first]) / length
    return np.where(length > 0.0, np.minimum(mean, 1.0), 1.0 / at_once)
