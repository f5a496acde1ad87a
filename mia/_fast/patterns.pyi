import numpy as np
from numpy.typing import NDArray

def detect_all(
    bars: NDArray[np.void],
    vol_ref: NDArray[np.float64],
    leg: NDArray[np.float64],
    leg_color: NDArray[np.float64],
    strict: bool,
    out: NDArray[np.float64],
) -> None: ...
