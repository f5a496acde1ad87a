"""Sessions cut into blocks that are run, and splits of them that are judged."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mia.errors import ConfigError
from mia.ml.splits import CombinatorialPurgedCV, PurgedKFold

Places = NDArray[np.int64]
WALKS = ("anchored", "rolling")
SCHEMES = (*WALKS, "purged", "combinatorial")
TESTED = 2
"""Blocks that a combination tests at a time."""


@dataclass(frozen=True, slots=True)
class Block:
    """A run of sessions that one task trades with an account of its own.

    Attributes
    ----------
    warm : int
        Place of the first session that the market state learns from, untraded.
    first, stop : int
        Places of the first session and of the one after the last.
    """

    warm: int
    first: int
    stop: int


@dataclass(frozen=True, slots=True)
class Split:
    """One choice and its judgement.

    Attributes
    ----------
    train, test : ndarray of int64
        Places of the sessions in which parameters are chosen, and in which the choice is judged.
    """

    train: Places
    test: Places


@dataclass(frozen=True, slots=True)
class Folds:
    """How the sessions of a study are used.

    Attributes
    ----------
    scheme : str
    sessions : int
    blocks : tuple of Block
        Together all sessions, in order.
    splits : tuple of Split
    paths : tuple of tuple of (int, int)
        Each path is an out-of-sample record: which split judges which block, in order of time.
    """

    scheme: str
    sessions: int
    blocks: tuple[Block, ...]
    splits: tuple[Split, ...]
    paths: tuple[tuple[tuple[int, int], ...], ...]

    @property
    def walks(self) -> bool:
        """Whether every choice is made in sessions before those that judge it."""
        return self.scheme in WALKS

    def training_blocks(self) -> list[int]:
        """Return the blocks before the first test: all that a sampler may learn from."""
        end = int(self.splits[0].test[0])
        return [k for k, block in enumerate(self.blocks) if block.stop <= end]


def make_folds(
    scheme: str,
    spans: Places,
    tests: int,
    train: int = 1,
    warmup: int = 2,
    embargo: int = 1,
) -> Folds:
    """Cut sessions into equal blocks and splits.

    Parameters
    ----------
    scheme : str
        ``anchored``: walk forward, chosen in everything before the test; ``rolling``: in the
        last `train` blocks before it; ``purged``: cross-validation, chosen in all other blocks;
        ``combinatorial``: each pair of blocks is tested once, chosen in the others.
    spans : ndarray of int64, shape (n, 2)
        When each session opens and ends, ns. A trade ends with its session, so the label of a
        session spans no more than the session.
    tests : int
        Test blocks.
    train : int
        Blocks before the first test, of the walks.
    warmup : int
        Sessions before a block from which the market state learns.
    embargo : int
        Sessions after a test block that cross-validation leaves out of the training, because
        what the market state knows there comes from the test.

    Raises
    ------
    ConfigError
        If there are too few sessions or blocks, or the scheme is unknown.
    """
    if scheme not in SCHEMES:
        raise ConfigError(f"unknown --scheme {scheme!r}: choose one of {', '.join(SCHEMES)}")
    least_tests = {"purged": 2, "combinatorial": TESTED + 1}.get(scheme, 1)
    if tests < least_tests:
        raise ConfigError(f"--folds must be at least {least_tests} for {scheme}, was {tests}")
    if train < 1:
        raise ConfigError(f"--train must be at least 1, was {train}")
    sessions = len(spans)
    count = tests + train if scheme in WALKS else tests
    least = max(2, embargo + 1)
    if sessions < least * count:
        raise ConfigError(
            f"{sessions} sessions are too few for {count} blocks of at least {least}: "
            "give more data or fewer --folds"
        )
    parts = np.array_split(np.arange(sessions, dtype=np.int64), count)
    blocks = tuple(
        Block(max(0, int(part[0]) - warmup), int(part[0]), int(part[-1]) + 1) for part in parts
    )
    if scheme in WALKS:
        splits = tuple(_walk(blocks, k, train, scheme == "anchored") for k in range(train, count))
        walk = tuple((k, train + k) for k in range(tests))
        return Folds(scheme, sessions, blocks, splits, (walk,))
    ordinals = np.arange(sessions, dtype=np.int64)
    label = (spans[:, 0], spans[:, 1], ordinals)
    cv: PurgedKFold | CombinatorialPurgedCV
    paths: list[tuple[tuple[int, int], ...]]
    if scheme == "purged":
        cv = PurgedKFold(count, *label, embargo_sessions=embargo)
        paths = [tuple((k, k) for k in range(count))]
    else:
        cv = CombinatorialPurgedCV(count, TESTED, *label, embargo_sessions=embargo)
        paths = [
            tuple((int(split), group) for group, split in enumerate(path)) for path in cv.paths()
        ]
    splits = tuple(Split(inside, outside) for inside, outside in cv.split())
    return Folds(scheme, sessions, blocks, splits, tuple(paths))


def _walk(blocks: Sequence[Block], k: int, train: int, anchored: bool) -> Split:
    start = 0 if anchored else blocks[k - train].first
    test = blocks[k]
    return Split(
        np.arange(start, test.first, dtype=np.int64),
        np.arange(test.first, test.stop, dtype=np.int64),
    )
