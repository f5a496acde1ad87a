import numpy as np

LEVEL_DTYPE: np.dtype[np.void]
ZONE_DTYPE: np.dtype[np.void]
LEVEL_KINDS: tuple[str, ...]
ZONE_GRADES: tuple[str, ...]
