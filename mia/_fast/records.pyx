"""Records that kernels share, shown to Python as numpy dtypes."""

import numpy as np

cdef Bar _bar
cdef Session _session
cdef Battle _battle
cdef RegimeState _regime
cdef Setup _setup
cdef OptionsInput _options
cdef Row _row
cdef Params _params

cdef const Bar[::1] _bars = <Bar[:1]> &_bar

BAR_DTYPE = np.asarray(_bars).dtype
SESSION_DTYPE = np.asarray(<Session[:1]> &_session).dtype
BATTLE_DTYPE = np.asarray(<Battle[:1]> &_battle).dtype
REGIME_DTYPE = np.asarray(<RegimeState[:1]> &_regime).dtype
SETUP_DTYPE = np.asarray(<Setup[:1]> &_setup).dtype
OPTIONS_DTYPE = np.asarray(<OptionsInput[:1]> &_options).dtype
ROW_DTYPE = np.asarray(<Row[:1]> &_row).dtype
PARAMS_DTYPE = np.asarray(<Params[:1]> &_params).dtype
