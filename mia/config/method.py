"""Named parameters of the method, one model per group.

A parameter is addressed as ``group.name`` (``bn.window``) on the command line, in profiles and
in error messages; ``docs/method.md`` says where each one acts. Distances are ticks, ratios are
fractions, windows count bars of the stream they act on unless the name carries a unit.
"""

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]


class Group(BaseModel):
    """Base of every group: frozen, and a misspelt key is an error."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False
    )


class Stream(Group):
    """Bar streams: ``kind:argument`` with kind time, reversal, tick, volume or range."""

    primary: str = "time:60"
    micro: str = "reversal:4"

    @field_validator("primary", "micro")
    @classmethod
    def _known_stream(cls, value: str) -> str:
        kind, _, argument = value.partition(":")
        if kind not in {"time", "reversal", "tick", "volume", "range"} or not argument.isdigit():
            raise ValueError(f"expected time|reversal|tick|volume|range:N, was {value!r}")
        if int(argument) < 1 or (kind == "time" and 86400 % int(argument)):
            raise ValueError(f"a time bar's width must divide 86400 seconds, was {value!r}")
        return value


class Bars(Group):
    """Bar builders."""

    reversal_ticks: Count = 4


class Flow(Group):
    """Aggressor of trades whose source gives none."""

    side_fallback: Literal["tick_rule", "none"] = "tick_rule"


class Sources(Group):
    """What the feed carries; decides which features count as expected."""

    trades: bool = True
    book: bool = False
    options: bool = False


class Stats(Group):
    """Averages and reference rings."""

    atr_bars: Annotated[int, Field(ge=1, le=60)] = 14
    atr_min_bars: Count = 5
    vol_bars: Annotated[int, Field(ge=1, le=60)] = 20
    vol_min_bars: Count = 5
    vol_ref_bars: Annotated[int, Field(ge=1, le=1000)] = 200
    vol_ref_cold: Positive = 1500.0
    vol_ref_min: Count = 20


class Vwap(Group):
    """Session VWAP."""

    slope_bars: Annotated[int, Field(ge=1, le=60)] = 10
    anchor: Literal["globex", "rth"] = "globex"


class Profile(Group):
    """Market profile."""

    value_area_pct: Annotated[int, Field(ge=1, le=100)] = 70
    smooth: Annotated[int, Field(ge=0, le=20)] = 2
    node_window: Annotated[int, Field(ge=1, le=50)] = 6
    hvn_ratio: Positive = 1.5
    lvn_ratio: Positive = 0.5
    min_minutes: Annotated[int, Field(ge=0)] = 30
    prev_min_minutes: Annotated[int, Field(ge=0)] = 60
    tpo: bool = False


class Pat(Group):
    """Bar patterns."""

    leg_ticks: Count = 8
    leg_ticks_color: Count = 12
    time_bar_atr: Positive = 1.5


class Bn(Group):
    """Battle Navale."""

    absolute_refs: bool = False
    window: Annotated[int, Field(ge=1, le=60)] = 5
    body_weight: NonNegative = 0.8
    body_min: Fraction = 0.6
    vol_weight: NonNegative = 0.2
    vol_cap: Positive = 2.0
    delta_weight: NonNegative = 0.5
    delta_ref_ratio: Positive = 0.12
    delta_ref_cold: Positive = 1000.0
    aggr_weight: NonNegative = 0.3
    aggr_hi: Fraction = 0.54
    base_min_bars: Annotated[int, Field(ge=2, le=60)] = 3
    base_max_bars: Annotated[int, Field(ge=2, le=60)] = 15
    base_max_ticks: Positive = 10.0
    base_max_atr: NonNegative = 1.5
    base_min_ticks: Positive = 2.0
    base_std_ratio: Positive = 0.30
    violation_bars: Count = 5
    base_expiry_bars: Count = 20
    base_min_quality: Fraction = 0.60
    strong_camp: Fraction = 0.70
    score_threshold: Fraction = 0.35
    win_level: Fraction = 0.50
    balanced_level: Fraction = 0.20
    pattern_timeout_min: Count = 15


class Book(Group):
    """Sampling of the order book."""

    sample_ms: Literal[1000] = 1000


class Feat(Group):
    """Features F1 to F18 and the tier."""

    f1_bars: Annotated[int, Field(ge=1, le=60)] = 20
    f1_scale: Positive = 0.08
    f1_min_bars: Count = 5
    f2_gain: Positive = 4.0
    f3_bars: Annotated[int, Field(ge=3, le=60)] = 10
    f3_r2: Fraction = 0.30
    f3_scale: Positive = 0.10
    f4_scale: Positive = 0.15
    f4_body_atr: Positive = 0.5
    f5_min_lots: Count = 10
    f5_ratio: Positive = 3.0
    f5_min_run: Count = 3
    f5_norm: Positive = 5.0
    f5_bars: Annotated[int, Field(ge=1, le=60)] = 3
    f6_levels: Annotated[int, Field(ge=1, le=10)] = 5
    f6_decay: Positive = 0.8
    f6_ema: Count = 10
    f6_depth_ref: Positive = 100.0
    f6_max_spread: Count = 2
    f7_trades: Annotated[int, Field(ge=1, le=1000)] = 20
    f8_window_s: Count = 300
    f8_min_lots: Count = 100
    f8_block_lots: Count = 500
    f8_norm: Positive = 500.0
    f12_dvol: float = 0.0
    f16_slope_atr: Positive = 0.08
    f17_vr: Positive = 1.8
    f17_delta_gain: Positive = 4.0
    f17_large_gain: Positive = 8.0
    f17_corr_bars: Annotated[int, Field(ge=2, le=60)] = 20
    f17_corr_min: Count = 10
    tier_min: Count = 500


class Reg(Group):
    """Market regime."""

    bars: Annotated[int, Field(ge=11, le=60)] = 30
    slope_full: Positive = 0.08
    mom_atr: Positive = 1.5
    intact: Count = 3
    strong: Fraction = 0.70
    strong_counts: Count = 4
    slope_strong: NonNegative = 0.03
    weak: Fraction = 0.50
    weak_counts: Count = 2
    slope_weak: NonNegative = 0.015
    range_bars: Annotated[int, Field(ge=30, le=120)] = 60
    tol_ticks: NonNegative = 2.0
    tol_atr: NonNegative = 0.25
    size_min_ticks: NonNegative = 12.0
    size_min_atr: NonNegative = 1.5
    size_max_ticks: Positive = 50.0
    size_max_atr: NonNegative = 5.0
    min_tests: Count = 3
    min_minutes: NonNegative = 20.0
    respect: Fraction = 0.75
    bias_counts: Count = 2
    hold_bars: Count = 3


class Opt(Group):
    """SPX to ES mapping."""

    basis_half_life_s: Positive = 300.0
    basis_max_err: Positive = 3.0


class Conf(Group):
    """Confluence of levels."""

    radius_ticks: Positive = 10.0
    radius_atr: NonNegative = 1.0
    price_norm: Positive = 2.0
    family_cap: Count = 2
    gap_ticks: NonNegative = 3.0
    gap_atr: NonNegative = 0.25
    zone_norm: Positive = 2.0


class Mtf(Group):
    """Multi-timeframe Battle Navale."""

    frames_min: tuple[int, ...] = (1, 5, 15, 60)
    norm: Positive = 0.6

    @field_validator("frames_min")
    @classmethod
    def _four_frames(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if len(value) != 4 or any(a >= b for a, b in pairwise(value)):
            raise ValueError(f"four ascending widths in minutes are needed, was {value}")
        if any(width < 1 or 1440 % width for width in value):
            raise ValueError(f"each width must divide a day of 1440 minutes, was {value}")
        return value


class Evid(Group):
    """Evidence detectors."""

    micro_veto: Fraction = 0.6


class MinStrength(Group):
    """Strength from which a hit of each ES pattern is traded."""

    P1: Fraction = 0.70
    P2: Fraction = 0.70
    P3: Fraction = 0.70
    P4: Fraction = 0.70
    P5: Fraction = 0.70


class EsPattern(Group):
    """The five ES patterns."""

    min_strength: MinStrength = MinStrength()
    repeat_min: Count = 15
    pen_ticks: Positive = 8.0
    pen_atr: NonNegative = 0.75
    back_ticks: NonNegative = 2.0
    back_atr: NonNegative = 0.15
    near_ticks: NonNegative = 4.0
    near_atr: NonNegative = 0.33
    p2_z: Positive = 2.0
    p2_rise: NonNegative = 0.25
    p2_slope: Positive = 0.03
    p4_conf: Fraction = 0.45


class Trend(Group):
    """Trend strategy."""

    leg_bars: Annotated[int, Field(ge=2, le=60)] = 20
    leg_atr: Positive = 2.0
    retr_min: Fraction = 0.25
    retr_max: Fraction = 0.80
    entry_bars: Count = 3
    stop_bars: Annotated[int, Field(ge=1, le=60)] = 5
    target_r: Positive = 2.0


class Range(Group):
    """Range strategy."""

    confirm_pattern: Fraction = 0.6
    confirm_bn: Fraction = 0.40
    confirm_f4: Fraction = 0.3
    entry_bars: Count = 2


class Gate(Group):
    """Gates of a proposal."""

    end_min: NonNegative = 5.0
    session_min: Fraction = 0.60
    feature_quality: Fraction = 0.70
    max_spread: Count = 2
    regime_conf: Fraction = 0.60
    weak_conf: Fraction = 0.75
    regime_cooldown_s: NonNegative = 300.0
    mtf_min: Fraction = 0.30
    wall_ticks: Count = 5
    min_rr: Positive = 1.5
    signal_cooldown_s: NonNegative = 300.0
    signals_per_hour: Count = 10
    loss_cooldown_s: NonNegative = 900.0


class Cost(Group):
    """Commission in USD a side; slippage in ticks per market or stop fill."""

    es_side: NonNegative = 3.45
    mes_side: NonNegative = 0.96
    slip_ticks: Annotated[int, Field(ge=0)] = 1


class Fill(Group):
    """When a resting limit order is filled."""

    limit: Literal["through", "queue"] = "through"
    latency_ns: Annotated[int, Field(ge=0)] = 20_000_000


class Risk(Group):
    """Sizing and stops."""

    max_stop_ticks: Positive = 15.0
    max_stop_atr: NonNegative = 2.5
    min_stop_ticks: Count = 4
    kelly_prior: Count = 10
    kelly_cap: Fraction = 0.25
    kelly_min_trades: Count = 30
    daily_share: Fraction = 0.30
    open_share: Fraction = 0.50
    instrument: Literal["auto", "ES", "MES"] = "auto"
    max_positions: Literal[1] = 1
    loss_streak: Count = 4


class Exit(Group):
    """Management of an open trade; distances in ticks and in multiples of the entry distance."""

    be_ticks: NonNegative = 8.0
    be_r: NonNegative = 0.8
    trail_start_ticks: NonNegative = 12.0
    trail_start_r: NonNegative = 1.2
    trail_ticks: Positive = 6.0
    trail_r: NonNegative = 0.6
    max_minutes: Positive = 45.0


class Ml(Group):
    """Progressive machine learning."""

    min_trades: Count = 100
    demote_on_moved_inputs: bool = True
    use_model: bool = True
    refit: bool = True


class Account(Group):
    """The account."""

    start_equity: Annotated[float, Field(gt=0, le=1e9)] = 25_000.0


METHOD_GROUPS: dict[str, type[Group]] = {
    "stream": Stream,
    "bars": Bars,
    "flow": Flow,
    "sources": Sources,
    "stats": Stats,
    "vwap": Vwap,
    "profile": Profile,
    "pat": Pat,
    "bn": Bn,
    "book": Book,
    "feat": Feat,
    "reg": Reg,
    "opt": Opt,
    "conf": Conf,
    "mtf": Mtf,
    "evid": Evid,
    "es_pattern": EsPattern,
    "trend": Trend,
    "range": Range,
    "gate": Gate,
    "cost": Cost,
    "fill": Fill,
    "risk": Risk,
    "exit": Exit,
    "ml": Ml,
    "account": Account,
}
