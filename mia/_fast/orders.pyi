import numpy as np
from numpy.typing import NDArray
from typing_extensions import disjoint_base

FILL_DTYPE: np.dtype[np.void]

@disjoint_base
class OrderTable:
    capacity: int
    latency_ns: int
    slip_ticks: int
    queue: bool
    def __new__(
        cls, capacity: int = 64, latency_ns: int = 0, slip_ticks: int = 1, queue: bool = False
    ) -> OrderTable: ...
    @property
    def fills(self) -> NDArray[np.void]: ...
    @property
    def is_idle(self) -> bool: ...
    def submit(
        self,
        ts: int,
        side: int,
        order_type: int,
        quantity: int,
        stop_price: int = 0,
        limit_price: int = 0,
        parent: int = 0,
        group: int = 0,
        queue_ahead: int = 0,
    ) -> int: ...
    def cancel(self, order_id: int, ts: int) -> bool: ...
    def modify(self, order_id: int, ts: int, price: int, queue_ahead: int = 0) -> bool: ...
    def release(self, order_id: int) -> None: ...
    def set_queue_ahead(self, order_id: int, queue_ahead: int) -> None: ...
    def quantities(self, order_id: int) -> tuple[int, int]: ...
    def extremes(self, order_id: int) -> tuple[int, int]: ...
