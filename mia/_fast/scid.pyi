import numpy as np
from numpy.typing import NDArray

def decode(
    records: bytes | bytearray | memoryview,
    ticks_per_unit: float,
    ts_event: NDArray[np.int64],
    seq: NDArray[np.int32],
    price: NDArray[np.int32],
    size: NDArray[np.int32],
    aggressor_side: NDArray[np.int8],
    bid_price: NDArray[np.int32],
    ask_price: NDArray[np.int32],
    flags: NDArray[np.uint16],
) -> int: ...
def complete_rows(ts_event: NDArray[np.int64], flags: NDArray[np.uint16]) -> int: ...
def merge_unbundled(
    n: int,
    ts_event: NDArray[np.int64],
    seq: NDArray[np.int32],
    price: NDArray[np.int32],
    size: NDArray[np.int32],
    aggressor_side: NDArray[np.int8],
    bid_price: NDArray[np.int32],
    ask_price: NDArray[np.int32],
    flags: NDArray[np.uint16],
    row: NDArray[np.int64],
) -> tuple[int, int]: ...
