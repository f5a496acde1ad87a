from typing import Self, final

import numpy as np
from numpy.typing import NDArray

from mia._fast.cvd import Cvd
from mia._fast.profile import Profile
from mia._fast.vwap import Vwap

@final
class SessionLevels:
    def __new__(cls, params: NDArray[np.void]) -> Self: ...
    @property
    def previous(self) -> tuple[int, int, int] | None: ...
    @property
    def globex_profile(self) -> Profile: ...
    @property
    def rth_profile(self) -> Profile: ...
    @property
    def vwap_globex(self) -> Vwap: ...
    @property
    def vwap_rth(self) -> Vwap: ...
    @property
    def cvd(self) -> Cvd: ...
