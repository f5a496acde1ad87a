from typing import Self, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

@final
class RegimeClassifier:
    def __new__(cls, params: NDArray[np.void]) -> Self: ...
    def bars(
        self, bars: NDArray[np.void], atr: ArrayLike, vslope: ArrayLike
    ) -> NDArray[np.void]: ...
