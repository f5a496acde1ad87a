import numpy as np

BAR_DTYPE: np.dtype[np.void]
SESSION_DTYPE: np.dtype[np.void]
BATTLE_DTYPE: np.dtype[np.void]
REGIME_DTYPE: np.dtype[np.void]
SETUP_DTYPE: np.dtype[np.void]
OPTIONS_DTYPE: np.dtype[np.void]
ROW_DTYPE: np.dtype[np.void]
PARAMS_DTYPE: np.dtype[np.void]
