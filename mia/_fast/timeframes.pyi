from collections.abc import Sequence
from typing import Any, Self, final

import numpy as np
from numpy.typing import NDArray

@final
class Frame:
    def __new__(cls, params: NDArray[np.void], width_s: int, used: bool) -> Self: ...
    @property
    def used(self) -> bool: ...
    @property
    def volumes(self) -> list[NDArray[np.float64]]: ...
    @property
    def state(self) -> dict[str, Any] | None: ...

@final
class Timeframes:
    def __new__(cls, params: NDArray[np.void], primary_s: int) -> Self: ...
    @property
    def first(self) -> Frame: ...
    @property
    def second(self) -> Frame: ...
    @property
    def third(self) -> Frame: ...
    @property
    def fourth(self) -> Frame: ...

def combine(
    score: NDArray[np.float64],
    confidence: NDArray[np.float64],
    valid: Sequence[bool],
    vol01: float,
    norm: float = 0.6,
) -> tuple[float, bool]: ...
