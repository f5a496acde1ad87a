from typing import Self, final

import numpy as np
from numpy.typing import NDArray

KINDS: dict[str, int]

@final
class BarSeries:
    def __new__(cls) -> Self: ...
    @property
    def count(self) -> int: ...
    @property
    def bars(self) -> NDArray[np.void]: ...
    def reset(self) -> None: ...

@final
class BarBuilder:
    def __new__(cls, stream: str, large: int = 100) -> Self: ...
    @property
    def kind(self) -> int: ...
    @property
    def argument(self) -> int: ...

@final
class Resampler:
    def __new__(cls, width_s: int) -> Self: ...
    @property
    def width_ns(self) -> int: ...

def build(
    stream: str,
    sessions: NDArray[np.void],
    ts: NDArray[np.int64],
    price: NDArray[np.int32],
    size: NDArray[np.int32],
    side: NDArray[np.int8],
    large: int = 100,
    tick_rule: bool = True,
) -> tuple[NDArray[np.void], int]: ...
