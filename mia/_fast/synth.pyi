import numpy as np
from numpy.typing import NDArray

DIRECTIVE_DTYPE: np.dtype[np.void]

def touch(
    ts: NDArray[np.int64],
    size: NDArray[np.int32],
    step: NDArray[np.float64],
    jump: NDArray[np.float64],
    choice: NDArray[np.float64],
    mood: NDArray[np.float64],
    first: float,
    zone: float,
    sticky: float,
    contrary: float,
    wide: float,
    close_gap: float,
    thin: float,
    level_spacing: int,
    directives: NDArray[np.void] | None,
    side: NDArray[np.int8],
    price: NDArray[np.int32],
    bid: NDArray[np.int32],
    ask: NDArray[np.int32],
    latent: NDArray[np.float64],
) -> None: ...
