from typing import final

import numpy as np
from numpy.typing import NDArray

def headfake_of(bars: NDArray[np.void], vr: float) -> tuple[int, float]: ...

@final
class Evidence:
    def __new__(cls, params: NDArray[np.void]) -> Evidence: ...
    def reset(self) -> None: ...
    def run(
        self,
        bars: NDArray[np.void],
        rows: NDArray[np.void],
        options: NDArray[np.void] | None = None,
        zones: NDArray[np.void] | None = None,
        first_zone: NDArray[np.int64] | None = None,
        spread_z: NDArray[np.float64] | None = None,
        book_imbalance: NDArray[np.float64] | None = None,
    ) -> None: ...
