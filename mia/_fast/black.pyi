import numpy as np
from numpy.typing import NDArray

def total_vols(
    forward: NDArray[np.float64],
    strike: NDArray[np.float64],
    right: NDArray[np.int8],
    price: NDArray[np.float64],
    discount: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None: ...
def greeks(
    spot: float,
    forward: NDArray[np.float64],
    strike: NDArray[np.float64],
    right: NDArray[np.int8],
    discount: NDArray[np.float64],
    total_vol: NDArray[np.float64],
    years: NDArray[np.float64],
    price: NDArray[np.float64],
    delta: NDArray[np.float64],
    gamma: NDArray[np.float64],
    vega: NDArray[np.float64],
    vanna: NDArray[np.float64],
    charm: NDArray[np.float64],
) -> None: ...
def gamma_profile(
    levels: NDArray[np.float64],
    ratio: NDArray[np.float64],
    discount: NDArray[np.float64],
    strike: NDArray[np.float64],
    total_vol: NDArray[np.float64],
    weight: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None: ...
