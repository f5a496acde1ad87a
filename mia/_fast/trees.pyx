"""Inference of a trained model from flat arrays: boosted trees, a linear score, and calibration.

Nothing here knows how a model was trained. A row is the whole input vector; nan is a missing
value, which each split of a tree sends to the side that training chose, and for which the linear
score has a value to take instead.
"""

cimport cython
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.math cimport exp, isnan
from libc.stdint cimport int32_t, int64_t, uint8_t

import numpy as np


cdef struct Node:
    double value             # threshold of a split, or what a leaf adds
    int32_t feature          # place in the row; -1 at a leaf
    int32_t missing          # node to go to from here when the value is nan
    int32_t left, right      # nodes of this tree's own numbers plus its first


cdef inline double _logistic(double x) noexcept nogil:
    return 1.0 / (1.0 + exp(-x))


cdef class RowScore:
    """What gives a row a score, the log-odds of a classifier; made as `Trees` or `Linear`.

    Attributes
    ----------
    width : int
        Length of a row.
    """

    cdef readonly Py_ssize_t width

    def __cinit__(self, *_, **__):
        if type(self) is RowScore:
            raise TypeError("a score is made as Trees or Linear")

    cdef double _score(self, const double* row) noexcept nogil:
        return 0.0

    def score(self, const double[::1] row not None):
        """Return the log-odds of a row.

        Raises
        ------
        ValueError
            If the row has another length.
        """
        if row.shape[0] != self.width:
            raise ValueError(f"row must have {self.width} values, had {row.shape[0]}")
        return self._score(&row[0])

    def scores(self, const double[:, ::1] rows not None, double[::1] out not None):
        """Write the score of each row to `out`, without the GIL."""
        cdef Py_ssize_t n = rows.shape[0], i
        if rows.shape[1] != self.width or out.shape[0] != n:
            raise ValueError(f"rows must have {self.width} values each, and out one per row")
        with nogil:
            for i in range(n):
                out[i] = self._score(&rows[i, 0])


@cython.final
cdef class Trees(RowScore):
    """A sum of regression trees: baseline and leaves are summed in order.

    Parameters
    ----------
    starts : ndarray of int64, shape (trees,)
        First node of each tree.
    value : ndarray of float64, shape (nodes,)
        Threshold of a split (values up to it go left), and what a leaf adds.
    feature : ndarray of int32, shape (nodes,)
        Place in the row, -1 at a leaf.
    left, right : ndarray of int32, shape (nodes,)
        Children, numbered within the tree; each has a greater number than its parent. Not read
        at a leaf.
    missing_left : ndarray of uint8, shape (nodes,)
        Whether nan goes left.
    baseline : float
        Where the sum begins.
    width : int
        Length of a row.

    Raises
    ------
    ValueError
        If lengths differ, a child lies outside its tree or not after its parent, a place is
        outside the row, or a value that counts is nan.
    """

    cdef Node* _nodes
    cdef int64_t* _starts
    cdef Py_ssize_t _trees
    cdef double _baseline

    def __cinit__(
        self,
        const int64_t[::1] starts not None,
        const double[::1] value not None,
        const int32_t[::1] feature not None,
        const int32_t[::1] left not None,
        const int32_t[::1] right not None,
        const uint8_t[::1] missing_left not None,
        double baseline,
        Py_ssize_t width,
    ):
        cdef Py_ssize_t n = value.shape[0], trees = starts.shape[0], tree, k, first, last
        cdef Node* node
        if not feature.shape[0] == left.shape[0] == right.shape[0] == missing_left.shape[0] == n:
            raise ValueError("arrays of nodes must have one length")
        if trees < 1 or starts[0] != 0:
            raise ValueError("the first tree must start at node 0")
        if isnan(baseline):
            raise ValueError("baseline must be a number, was nan")
        self._nodes = <Node*>PyMem_Malloc(max(n, 1) * sizeof(Node))
        self._starts = <int64_t*>PyMem_Malloc(trees * sizeof(int64_t))
        if self._nodes == NULL or self._starts == NULL:
            raise MemoryError()
        for tree in range(trees):
            first = starts[tree]
            last = starts[tree + 1] if tree + 1 < trees else n
            if not 0 <= first < last <= n:
                raise ValueError(f"tree {tree} must have nodes within the arrays")
            self._starts[tree] = first
            for k in range(first, last):
                node = &self._nodes[k]
                if isnan(value[k]):
                    raise ValueError(f"value of node {k} must be a number, was nan")
                node.value = value[k]
                node.feature = feature[k]
                if feature[k] == -1:
                    node.left = node.right = node.missing = <int32_t>k
                    continue
                if not 0 <= feature[k] < width:
                    raise ValueError(
                        f"feature of node {k} must be -1 to {width - 1}, was {feature[k]}"
                    )
                if not (k - first < left[k] < last - first and k - first < right[k] < last - first):
                    raise ValueError(f"children of node {k} must follow it in its tree")
                node.left = <int32_t>(first + left[k])
                node.right = <int32_t>(first + right[k])
                node.missing = node.left if missing_left[k] else node.right
        self._trees = trees
        self._baseline = baseline
        self.width = width

    def __dealloc__(self):
        PyMem_Free(self._nodes)
        PyMem_Free(self._starts)

    cdef double _score(self, const double* row) noexcept nogil:
        cdef double total = self._baseline, x
        cdef Py_ssize_t tree
        cdef const Node* node
        for tree in range(self._trees):
            node = &self._nodes[self._starts[tree]]
            while node.feature >= 0:
                x = row[node.feature]
                if x <= node.value:
                    node = &self._nodes[node.left]
                elif x > node.value:
                    node = &self._nodes[node.right]
                else:
                    node = &self._nodes[node.missing]
            total += node.value
        return total


@cython.final
cdef class Linear(RowScore):
    """An intercept and a weighted sum of scaled values.

    Parameters
    ----------
    columns : ndarray of int32, shape (k,)
        Places in the row that are read.
    weight, centre, scale, missing : ndarray of float64, shape (k,)
        The value x adds ``weight * (x - centre) / scale``; nan counts as `missing`.
    intercept : float
    width : int
        Length of a row.

    Raises
    ------
    ValueError
        If lengths differ, a place is outside the row, a scale is not positive, or a number is nan.
    """

    cdef int32_t[::1] _columns
    cdef double[::1] _weight, _centre, _scale, _missing
    cdef double _intercept

    def __cinit__(
        self,
        const int32_t[::1] columns not None,
        const double[::1] weight not None,
        const double[::1] centre not None,
        const double[::1] scale not None,
        const double[::1] missing not None,
        double intercept,
        Py_ssize_t width,
    ):
        cdef Py_ssize_t n = columns.shape[0], k
        if not weight.shape[0] == centre.shape[0] == scale.shape[0] == missing.shape[0] == n:
            raise ValueError("arrays of a linear score must have one length")
        if width < 1:
            raise ValueError(f"width must be at least 1, was {width}")
        if isnan(intercept):
            raise ValueError("intercept must be a number, was nan")
        for k in range(n):
            if not 0 <= columns[k] < width:
                raise ValueError(f"column {k} must be 0 to {width - 1}, was {columns[k]}")
            if not scale[k] > 0.0:
                raise ValueError(f"scale {k} must be positive, was {scale[k]}")
            if isnan(weight[k]) or isnan(centre[k]) or isnan(missing[k]):
                raise ValueError(f"numbers of column {k} must not be nan")
        self._columns = np.array(columns)
        self._weight = np.array(weight)
        self._centre = np.array(centre)
        self._scale = np.array(scale)
        self._missing = np.array(missing)
        self._intercept = intercept
        self.width = width

    cdef double _score(self, const double* row) noexcept nogil:
        cdef double total = self._intercept, x
        cdef Py_ssize_t k
        for k in range(self._columns.shape[0]):
            x = row[self._columns[k]]
            if isnan(x):
                x = self._missing[k]
            total += self._weight[k] * ((x - self._centre[k]) / self._scale[k])
        return total


@cython.final
cdef class Calibration:
    """From a score to a probability.

    Parameters
    ----------
    slope, offset : float
        Without knots the probability is ``logistic(slope * score + offset)``; 1 and 0 leave the
        model's own.
    x, y : ndarray of float64, shape (knots,)
        Scores, strictly rising, and probabilities in [0, 1], not falling; between knots the
        probability is on the line, beyond them that of the last.

    Raises
    ------
    ValueError
        If the knots are out of order or a number is out of range.
    """

    cdef double[::1] _x, _y
    cdef double _slope, _offset

    def __cinit__(
        self,
        double slope,
        double offset,
        const double[::1] x not None,
        const double[::1] y not None,
    ):
        cdef Py_ssize_t k
        if isnan(slope) or isnan(offset):
            raise ValueError("slope and offset must be numbers")
        if x.shape[0] != y.shape[0]:
            raise ValueError("knots must have one x and one y each")
        for k in range(x.shape[0]):
            if not 0.0 <= y[k] <= 1.0 or isnan(x[k]):
                raise ValueError(f"knot {k} must be a score and a probability")
            if k and not (x[k - 1] < x[k] and y[k - 1] <= y[k]):
                raise ValueError(f"knot {k} must lie right of the one before it and not below")
        self._slope = slope
        self._offset = offset
        self._x = np.array(x)
        self._y = np.array(y)

    cdef double _probability(self, double score) noexcept nogil:
        cdef Py_ssize_t low = 0, high = self._x.shape[0] - 1, middle
        if high < 0:
            return _logistic(self._slope * score + self._offset)
        if score <= self._x[0]:
            return self._y[0]
        if score >= self._x[high]:
            return self._y[high]
        while high - low > 1:
            middle = (low + high) // 2
            if self._x[middle] <= score:
                low = middle
            else:
                high = middle
        return self._y[low] + (self._y[high] - self._y[low]) * (
            (score - self._x[low]) / (self._x[high] - self._x[low])
        )

    def probability(self, double score):
        """Return the probability of a score."""
        return self._probability(score)

    def probabilities(self, const double[::1] scores not None, double[::1] out not None):
        """Write the probability of each score to `out`, without the GIL."""
        cdef Py_ssize_t n = scores.shape[0], i
        if out.shape[0] != n:
            raise ValueError("out must have one value per score")
        with nogil:
            for i in range(n):
                out[i] = self._probability(scores[i])
