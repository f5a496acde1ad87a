from typing import final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import disjoint_base

@disjoint_base
class RowScore:
    width: int
    def score(self, row: NDArray[np.float64]) -> float: ...
    def scores(self, rows: NDArray[np.float64], out: NDArray[np.float64]) -> None: ...

@final
class Trees(RowScore):
    def __new__(
        cls,
        starts: NDArray[np.int64],
        value: NDArray[np.float64],
        feature: NDArray[np.int32],
        left: NDArray[np.int32],
        right: NDArray[np.int32],
        missing_left: NDArray[np.uint8],
        baseline: float,
        width: int,
    ) -> Trees: ...

@final
class Linear(RowScore):
    def __new__(
        cls,
        columns: NDArray[np.int32],
        weight: NDArray[np.float64],
        centre: NDArray[np.float64],
        scale: NDArray[np.float64],
        missing: NDArray[np.float64],
        intercept: float,
        width: int,
    ) -> Linear: ...

@final
class Calibration:
    def __new__(
        cls,
        slope: float,
        offset: float,
        x: NDArray[np.float64],
        y: NDArray[np.float64],
    ) -> Calibration: ...
    def probability(self, score: float) -> float: ...
    def probabilities(self, scores: NDArray[np.float64], out: NDArray[np.float64]) -> None: ...
