from typing import final

import numpy as np
from numpy.typing import NDArray

@final
class Setups:
    def __new__(cls, params: NDArray[np.void]) -> Setups: ...
    def run(
        self,
        bars: NDArray[np.void],
        rows: NDArray[np.void],
        options: NDArray[np.void] | None = None,
    ) -> None: ...
