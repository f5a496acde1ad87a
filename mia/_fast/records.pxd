"""Records that kernels share, and the comparisons of the method.

Prices are ticks, times ns UTC, sizes contracts. Enumerations are those of
`mia.core.base_types`, as integers in the same order.
"""

from libc.math cimport ceil, fabs, floor, sqrt
from libc.stdint cimport int64_t


cdef enum:
    FLAG_SESSION_END = 1        # closed by the first trade of the next session
    FLAG_PARTIAL = 2            # flushed while open; never given to the method
    FLAG_READY_MADE = 4         # no pv, p2v, large_volume, footprint


cdef struct Bar:
    int64_t session_id
    int64_t t_open
    int64_t t_close             # instant at which the bar is known to be closed
    int64_t open
    int64_t high
    int64_t low
    int64_t close
    int64_t volume              # >= bid_volume + ask_volume
    int64_t bid_volume
    int64_t ask_volume
    int64_t trades
    int64_t pv                  # sum of size * price
    int64_t p2v                 # sum of size * price ** 2
    int64_t large_volume        # of trades of at least feat.f8_min_lots
    int64_t direction           # of a reversal bar: 0, +1, -1
    int64_t flags


cdef struct Session:            # one per calendar date; see mia.core.sessions
    int64_t session_id          # yyyymmdd
    int64_t t_open              # 18:00 ET of the day before
    int64_t t_pre_market        # 04:00 ET
    int64_t t_london_open       # 08:00 ET
    int64_t t_rth_open          # 09:30 ET
    int64_t t_lunch             # 12:00 ET
    int64_t t_afternoon         # 14:00 ET
    int64_t t_rth_close         # 16:00 ET, earlier on a half day
    int64_t t_halt              # 17:00 ET
    int64_t t_end               # next 18:00 ET


cdef struct Battle:             # Battle Navale after one bar
    double vikings              # V
    double defenders            # D
    double golden               # G
    double base_quality         # q of the synthesis
    double score                # S
    double strength
    double confidence
    int64_t state               # GoldenState
    int64_t base_dir            # dir of the synthesis
    int64_t signal
    int64_t status              # BattleStatus
    int64_t launched            # colour of a launch at this bar, accepted or not, else 0
    int64_t violated            # colour of the base violated at this bar, else 0
    int64_t active_dir          # colour of the active base, 0 without one
    int64_t active_low
    int64_t active_high
    int64_t active_bars
    int64_t active_launch       # index of its launch bar
    int64_t has_candidate
    int64_t candidate_low
    int64_t candidate_high
    int64_t candidate_bars
    int64_t candidate_dir       # forming colour


cdef struct RegimeState:        # regime after one bar
    int64_t raw                 # Regime
    int64_t regime              # published Regime
    double confidence           # of the published regime
    double strength             # of the published regime, for F15
    int64_t changed_at          # t_close of the last change
    int64_t up                  # pivot events
    int64_t down
    int64_t tested              # 1 from reg.bars bars: up, down are defined
    double raw_strength         # st of 9.1; nan if not tested
    double resistance           # R, nan while no range was accepted since publication
    double support
    double tolerance
    double range_quality        # qr, nan unless the range test accepted at this bar


cdef struct Setup:              # a trigger at one close
    int64_t kind                # SetupKind
    int64_t side
    double quality
    double level                # nan where it has none
    double stop
    double target               # nan: a multiple of the entry distance
    int64_t traded              # 1 if strong enough to be traded


cdef enum:
    MAX_SETUPS = 16
    N_FEATURES = 18


cdef struct OptionsInput:       # set from outside; all nan and 0 without chains
    double feature[6]           # F9 to F14
    int64_t valid[6]
    double gamma_flip           # ES ticks, nan if none
    double call_wall
    double put_wall
    double quality              # q
    int64_t ts_quotes


cdef struct Row:                # all that one primary close computed
    int64_t index               # of the bar in its session
    int64_t contract            # ordinal given by the caller
    Bar bar
    double atr
    int64_t atr_valid
    double atr_ref              # nan while invalid
    double vr
    int64_t vr_valid
    double vol_ref
    int64_t cvd
    double vwap
    double vwap_sd
    double vwap_rth             # nan before the first RTH bar
    double vwap_rth_sd
    double vslope               # ticks per bar of the selected anchor
    int64_t vslope_valid
    int64_t profile_valid       # the globex profile below
    int64_t poc
    int64_t vah
    int64_t val
    int64_t developing_valid    # levels of 5.5
    int64_t developing_poc
    int64_t developing_vah
    int64_t developing_val
    int64_t previous_valid
    int64_t previous_poc
    int64_t previous_vah
    int64_t previous_val
    int64_t session_high
    int64_t session_low
    int64_t overnight_valid
    int64_t overnight_high
    int64_t overnight_low
    int64_t phase               # decision phase
    int64_t rth                 # 1 if t_open is in RTH
    int64_t t_rth_open          # 09:30 ET of the session
    int64_t t_rth_close
    double pattern[4]           # strengths of LDU, LUD, CDS, CUS present at this close
    int64_t pattern_hit[4]      # 1 if the pattern's own bar is this primary bar
    Battle battle
    RegimeState regime
    double feature[18]
    int64_t valid[18]
    double feature_quality
    double feature_score
    int64_t tier                # Tier
    double price_score
    double mtf
    int64_t mtf_valid
    double vol01
    int64_t headfake            # +1 BEAR_TRAP, -1 BULL_TRAP, 0 none
    double headfake_score
    double micro_anomaly
    double gamma_pin
    int64_t spread              # of the latest good book snapshot, 0 without a book
    double options_quality      # q, 0 without chains
    double gamma_flip           # ES ticks, nan without one
    double call_wall
    double put_wall
    int64_t n_setups
    int64_t setup_kind[16]      # the setups, field by field; n_setups are valid
    int64_t setup_side[16]
    double setup_quality[16]
    double setup_level[16]
    double setup_stop[16]
    double setup_target[16]
    int64_t setup_traded[16]
    int64_t reason              # 0 setup for the selected strategy, 1 REGIME_WAIT, 2 NO_SETUP


cdef struct Params:             # mia.config.method, flattened as group_name
    # stats
    int64_t stats_atr_bars
    int64_t stats_atr_min_bars
    int64_t stats_vol_bars
    int64_t stats_vol_min_bars
    int64_t stats_vol_ref_bars
    double stats_vol_ref_cold
    int64_t stats_vol_ref_min
    # vwap
    int64_t vwap_slope_bars
    int64_t vwap_anchor         # 0 globex, 1 rth
    # profile
    int64_t profile_value_area_pct
    int64_t profile_smooth
    int64_t profile_node_window
    double profile_hvn_ratio
    double profile_lvn_ratio
    int64_t profile_min_minutes
    int64_t profile_prev_min_minutes
    int64_t profile_tpo
    # pat
    int64_t pat_leg_ticks
    int64_t pat_leg_ticks_color
    double pat_time_bar_atr
    # bn
    int64_t bn_absolute_refs
    int64_t bn_window
    double bn_body_weight
    double bn_body_min
    double bn_vol_weight
    double bn_vol_cap
    double bn_delta_weight
    double bn_delta_ref_ratio
    double bn_delta_ref_cold
    double bn_aggr_weight
    double bn_aggr_hi
    int64_t bn_base_min_bars
    int64_t bn_base_max_bars
    double bn_base_max_ticks
    double bn_base_max_atr
    double bn_base_min_ticks
    double bn_base_std_ratio
    int64_t bn_violation_bars
    int64_t bn_base_expiry_bars
    double bn_base_min_quality
    double bn_strong_camp
    double bn_score_threshold
    double bn_win_level
    double bn_balanced_level
    int64_t bn_pattern_timeout_min
    # feat
    int64_t feat_f1_bars
    double feat_f1_scale
    int64_t feat_f1_min_bars
    double feat_f2_gain
    int64_t feat_f3_bars
    double feat_f3_r2
    double feat_f3_scale
    double feat_f4_scale
    double feat_f4_body_atr
    int64_t feat_f5_min_lots
    double feat_f5_ratio
    int64_t feat_f5_min_run
    double feat_f5_norm
    int64_t feat_f5_bars
    int64_t feat_f6_levels
    double feat_f6_decay
    int64_t feat_f6_ema
    double feat_f6_depth_ref
    int64_t feat_f6_max_spread
    int64_t feat_f7_trades
    int64_t feat_f8_window_s
    int64_t feat_f8_min_lots
    int64_t feat_f8_block_lots
    double feat_f8_norm
    double feat_f12_dvol
    double feat_f16_slope_atr
    double feat_f17_vr
    double feat_f17_delta_gain
    double feat_f17_large_gain
    int64_t feat_f17_corr_bars
    int64_t feat_f17_corr_min
    int64_t feat_tier_min
    # sources
    int64_t sources_trades
    int64_t sources_book
    int64_t sources_options
    # opt
    double opt_basis_half_life_s
    double opt_basis_max_err
    # reg
    int64_t reg_bars
    double reg_slope_full
    double reg_mom_atr
    int64_t reg_intact
    double reg_strong
    int64_t reg_strong_counts
    double reg_slope_strong
    double reg_weak
    int64_t reg_weak_counts
    double reg_slope_weak
    int64_t reg_range_bars
    double reg_tol_ticks
    double reg_tol_atr
    double reg_size_min_ticks
    double reg_size_min_atr
    double reg_size_max_ticks
    double reg_size_max_atr
    int64_t reg_min_tests
    double reg_min_minutes
    double reg_respect
    int64_t reg_bias_counts
    int64_t reg_hold_bars
    # conf
    double conf_radius_ticks
    double conf_radius_atr
    double conf_price_norm
    int64_t conf_family_cap
    double conf_gap_ticks
    double conf_gap_atr
    double conf_zone_norm
    # mtf
    int64_t mtf_frame_0
    int64_t mtf_frame_1
    int64_t mtf_frame_2
    int64_t mtf_frame_3
    double mtf_norm
    # evid
    double evid_micro_veto
    # es_pattern
    double es_pattern_min_strength_P1
    double es_pattern_min_strength_P2
    double es_pattern_min_strength_P3
    double es_pattern_min_strength_P4
    double es_pattern_min_strength_P5
    int64_t es_pattern_repeat_min
    double es_pattern_pen_ticks
    double es_pattern_pen_atr
    double es_pattern_back_ticks
    double es_pattern_back_atr
    double es_pattern_near_ticks
    double es_pattern_near_atr
    double es_pattern_p2_z
    double es_pattern_p2_rise
    double es_pattern_p2_slope
    double es_pattern_p4_conf
    # trend
    int64_t trend_leg_bars
    double trend_leg_atr
    double trend_retr_min
    double trend_retr_max
    int64_t trend_entry_bars
    int64_t trend_stop_bars
    double trend_target_r
    # range
    double range_confirm_pattern
    double range_confirm_bn
    double range_confirm_f4
    int64_t range_entry_bars
    # flow
    int64_t flow_side_fallback  # 0 none, 1 tick rule
    # bars
    int64_t bars_reversal_ticks


cdef inline bint gt(double a, double b) noexcept nogil:
    return a - b > 1e-9


cdef inline bint ge(double a, double b) noexcept nogil:
    return a - b >= -1e-9


cdef inline bint lt(double a, double b) noexcept nogil:
    return b - a > 1e-9


cdef inline bint le(double a, double b) noexcept nogil:
    return b - a >= -1e-9


cdef inline double clip(double x, double low, double high) noexcept nogil:
    return low if x < low else (high if x > high else x)


cdef inline double pos(double x) noexcept nogil:
    return x if x > 0.0 else 0.0


cdef inline double dmin(double a, double b) noexcept nogil:
    return a if a < b else b


cdef inline double dmax(double a, double b) noexcept nogil:
    return a if a > b else b


cdef inline int sgn(double x) noexcept nogil:
    return (x > 0.0) - (x < 0.0)


cdef inline int isgn(int64_t x) noexcept nogil:
    return (x > 0) - (x < 0)


cdef inline double tri(double d, double width) noexcept nogil:
    return dmax(0.0, 1.0 - fabs(d) / width) if width > 0.0 else 0.0


cdef inline double floor_tol(double x) noexcept nogil:
    return floor(x + 1e-9)


cdef inline double ceil_tol(double x) noexcept nogil:
    return ceil(x - 1e-9)
