from typing import final

import numpy as np
from numpy.typing import NDArray

from mia._fast.levels import LEVEL_DTYPE as LEVEL_DTYPE
from mia._fast.levels import ZONE_DTYPE as ZONE_DTYPE

@final
class Confluence:
    def __new__(cls, params: NDArray[np.void]) -> Confluence: ...
    def reset(self) -> None: ...
    def level_array(self) -> NDArray[np.void]: ...
    def zone_array(self) -> NDArray[np.void]: ...
    def score_levels(
        self,
        close: float,
        atr: float,
        kinds: NDArray[np.int64],
        prices: NDArray[np.float64],
        ages: NDArray[np.float64],
        touches: NDArray[np.int64],
        quality: NDArray[np.float64],
    ) -> float: ...
    def run(
        self,
        bars: NDArray[np.void],
        rows: NDArray[np.void],
        options: NDArray[np.void] | None = None,
        nodes: NDArray[np.float64] | None = None,
        first_node: NDArray[np.int64] | None = None,
    ) -> tuple[NDArray[np.void], NDArray[np.int64]]: ...
