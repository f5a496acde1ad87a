"""Ready-made bars as the record that kernels read."""

import numpy as np
from numpy.typing import NDArray

from mia._fast import records
from mia.core.base_types import BarBlock


def bars_of(block: BarBlock) -> NDArray[np.void]:
    """Lay out ready-made bars as the kernels read them.

    Returns
    -------
    ndarray of records.BAR_DTYPE, shape (n,)
    """
    bars = np.zeros(len(block), records.BAR_DTYPE)
    bars["t_open"] = block.t_open
    bars["t_close"] = block.t_open + block.width_s * 1_000_000_000
    for name in ("open", "high", "low", "close", "volume", "bid_volume", "ask_volume", "trades"):
        bars[name] = getattr(block, name)
    return bars
