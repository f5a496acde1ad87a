from typing import Self, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

@final
class BattleNavale:
    def __new__(cls, params: NDArray[np.void]) -> Self: ...
    @property
    def history(self) -> list[tuple[int, int, int, int, int, float]]: ...
    def bars(
        self,
        bars: NDArray[np.void],
        atr: ArrayLike,
        vol_ref: ArrayLike,
        up: ArrayLike = 0.0,
        down: ArrayLike = 0.0,
    ) -> NDArray[np.void]: ...
