"""Snapshots of option chains on their way into a market state, wherever they come from."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mia._fast.market_state import MarketState
from mia.core.base_types import BarBlock, Block


class SnapshotSource(Protocol):
    """Where a run takes its snapshots from."""

    def until(self, ts: int) -> NDArray[np.void]:
        """Return what was not returned before and acts by `ts` (ns UTC), in that order."""
        ...


def give_options(state: MarketState, source: SnapshotSource, block: Block) -> None:
    """Queue in a market state the snapshots that act within a block, before it takes the block."""
    if not len(block):
        return
    if isinstance(block, BarBlock):
        end = int(block.t_open[-1]) + block.width_s * 1_000_000_000
    else:
        end = int(block.ts_event[-1])
    snapshots = source.until(end)
    if len(snapshots):
        state.add_options(snapshots)
