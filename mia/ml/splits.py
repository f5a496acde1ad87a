"""Cross-validation of trades whose labels span time: purged folds and their combinations.

A label is known at the exit of its trade, not at its entry. A training trade that was open while a
test trade was open has seen part of the test's outcome, so it is purged; what follows the test is
embargoed. Both splitters follow the protocol of scikit-learn and need nothing of it.
"""

from collections.abc import Iterator, Sized
from itertools import combinations, pairwise
from math import comb

import numpy as np
from numpy.typing import ArrayLike, NDArray

Indices = NDArray[np.int64]


class _PurgedSplitter:
    """Label spans, and the training rows that a set of test blocks leaves.

    Parameters
    ----------
    starts, ends : array_like of int64, shape (n,)
        Entry and exit of each trade, ns; closed intervals, so spans that touch overlap. Rows are
        in order of `starts`.
    sessions : array_like of int64, shape (n,), optional
        Session of each entry, not falling. Without sessions there is no embargo.
    embargo_sessions : int
        After each test block the rest of its last session and this many more sessions with trades
        are left out of training.

    Raises
    ------
    ValueError
        If the arrays differ in length, a trade ends before it begins, or order is lost.
    """

    def __init__(
        self,
        starts: ArrayLike,
        ends: ArrayLike,
        sessions: ArrayLike | None = None,
        *,
        embargo_sessions: int = 1,
    ) -> None:
        self.starts = np.asarray(starts, dtype=np.int64)
        self.ends = np.asarray(ends, dtype=np.int64)
        self.sessions = None if sessions is None else np.asarray(sessions, dtype=np.int64)
        self.embargo_sessions = embargo_sessions
        n = len(self.starts)
        if len(self.ends) != n or (self.sessions is not None and len(self.sessions) != n):
            raise ValueError("starts, ends and sessions must have one entry per row")
        if (self.ends < self.starts).any():
            raise ValueError("a label must not end before it starts")
        if (np.diff(self.starts) < 0).any():
            raise ValueError("rows must be in order of their starts")
        if self.sessions is not None and (np.diff(self.sessions) < 0).any():
            raise ValueError("sessions must not fall")
        if embargo_sessions < 0:
            raise ValueError(f"embargo_sessions must not be negative, was {embargo_sessions}")

    def _check(self, x: Sized | None) -> None:
        if x is not None and len(x) != len(self.starts):
            raise ValueError(f"{len(self.starts)} spans were given for {len(x)} rows")

    def _training(self, blocks: list[tuple[int, int]]) -> Indices:
        """Return rows that overlap no block ``[first, last)`` and follow none too closely."""
        keep = np.ones(len(self.starts), dtype=bool)
        for first, last in blocks:
            keep[first:last] = False
            begin, end = self.starts[first], self.ends[first:last].max()
            keep &= (self.starts > end) | (self.ends < begin)
            if self.sessions is not None:
                keep &= ~self._embargoed(last, int(self.sessions[last - 1]))
        return np.flatnonzero(keep).astype(np.int64)

    def _embargoed(self, first_after: int, session: int) -> NDArray[np.bool_]:
        assert self.sessions is not None
        if not self.embargo_sessions:
            return np.zeros(len(self.starts), dtype=bool)
        later = np.unique(self.sessions[self.sessions > session])
        reach = later[: self.embargo_sessions]
        until = int(reach[-1]) if len(reach) else session
        places = np.arange(len(self.starts))
        found: NDArray[np.bool_] = (places >= first_after) & (self.sessions <= until)
        return found


def _bounds(n: int, parts: int) -> list[tuple[int, int]]:
    """Cut `n` rows into contiguous parts whose sizes differ by at most one."""
    sizes = np.full(parts, n // parts)
    sizes[: n % parts] += 1
    edges = np.concatenate(([0], np.cumsum(sizes)))
    return [(int(a), int(b)) for a, b in pairwise(edges)]


class PurgedKFold(_PurgedSplitter):
    """Contiguous time folds, each tested once, with purged and embargoed training rows.

    Parameters
    ----------
    n_splits : int
        Folds, at least 2 and at most the number of rows.
    starts, ends, sessions, embargo_sessions
        Spans of the labels; see the notes.

    Notes
    -----
    A training row is dropped if its closed span ``[start, end]`` meets the span of the test fold
    (first start to last end), or if its entry lies after the fold in the fold's last session or in
    the `embargo_sessions` sessions with trades that follow. López de Prado (2018), "Advances in
    Financial Machine Learning", chapter 7.
    """

    def __init__(
        self,
        n_splits: int,
        starts: ArrayLike,
        ends: ArrayLike,
        sessions: ArrayLike | None = None,
        *,
        embargo_sessions: int = 1,
    ) -> None:
        super().__init__(starts, ends, sessions, embargo_sessions=embargo_sessions)
        if not 2 <= n_splits <= len(self.starts):
            raise ValueError(f"n_splits must be 2 to {len(self.starts)}, was {n_splits}")
        self.n_splits = n_splits

    def get_n_splits(self, x: Sized | None = None, y: object = None, groups: object = None) -> int:
        """Return the number of folds."""
        return self.n_splits

    def split(
        self, x: Sized | None = None, y: object = None, groups: object = None
    ) -> Iterator[tuple[Indices, Indices]]:
        """Yield training and test rows of each fold, in time order."""
        self._check(x)
        for first, last in _bounds(len(self.starts), self.n_splits):
            yield self._training([(first, last)]), np.arange(first, last)


class CombinatorialPurgedCV(_PurgedSplitter):
    """Every choice of some of the time groups as test set, purged around each of them.

    Parameters
    ----------
    n_groups, n_test_groups : int
        Contiguous groups in all, and those tested at a time, fewer than all.
    starts, ends, sessions, embargo_sessions
        As in `PurgedKFold`; test groups that are neighbours are purged as one block.

    Notes
    -----
    López de Prado (2018), chapter 12. Predictions of all splits join into `n_paths` paths that
    each cover every row once.
    """

    def __init__(
        self,
        n_groups: int,
        n_test_groups: int,
        starts: ArrayLike,
        ends: ArrayLike,
        sessions: ArrayLike | None = None,
        *,
        embargo_sessions: int = 1,
    ) -> None:
        super().__init__(starts, ends, sessions, embargo_sessions=embargo_sessions)
        if not 2 <= n_groups <= len(self.starts):
            raise ValueError(f"n_groups must be 2 to {len(self.starts)}, was {n_groups}")
        if not 1 <= n_test_groups < n_groups:
            raise ValueError(f"n_test_groups must be 1 to {n_groups - 1}, was {n_test_groups}")
        self.n_groups = n_groups
        self.n_test_groups = n_test_groups
        self._choices = list(combinations(range(n_groups), n_test_groups))

    @property
    def n_paths(self) -> int:
        """How often each row is predicted."""
        return comb(self.n_groups, self.n_test_groups) * self.n_test_groups // self.n_groups

    def get_n_splits(self, x: Sized | None = None, y: object = None, groups: object = None) -> int:
        """Return the number of splits."""
        return len(self._choices)

    def split(
        self, x: Sized | None = None, y: object = None, groups: object = None
    ) -> Iterator[tuple[Indices, Indices]]:
        """Yield training and test rows of each choice of test groups."""
        self._check(x)
        bounds = _bounds(len(self.starts), self.n_groups)
        for chosen in self._choices:
            blocks: list[tuple[int, int]] = []
            for group in chosen:
                first, last = bounds[group]
                if blocks and blocks[-1][1] == first:
                    blocks[-1] = (blocks[-1][0], last)
                else:
                    blocks.append((first, last))
            test = np.concatenate([np.arange(first, last) for first, last in blocks])
            yield self._training(blocks), test

    def paths(self) -> Indices:
        """Return which split predicts each group in each path.

        Returns
        -------
        ndarray of int64, shape (n_paths, n_groups)
            Path j takes group g from the j-th split that tests g.
        """
        of_group: list[list[int]] = [[] for _ in range(self.n_groups)]
        for split, chosen in enumerate(self._choices):
            for group in chosen:
                of_group[group].append(split)
        return np.array(of_group, dtype=np.int64).T

    def group_rows(self, group: int) -> Indices:
        """Return the rows of a group."""
        first, last = _bounds(len(self.starts), self.n_groups)[group]
        return np.arange(first, last)
