from typing import final

import numpy as np
from numpy.typing import NDArray

@final
class EsPatterns:
    def __new__(cls, params: NDArray[np.void]) -> EsPatterns: ...
