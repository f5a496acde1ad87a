from typing import Self, final

import numpy as np
from numpy.typing import NDArray

@final
class PhaseRings:
    def __new__(cls, capacity: int, least: int) -> Self: ...
    @property
    def values(self) -> list[NDArray[np.float64]]: ...

@final
class PatternMemory:
    def __new__(cls, timeout_ns: int) -> Self: ...
    @property
    def dropped(self) -> int: ...
