"""P1 to P5, each worked out by hand for a long and checked for its mirrored short.

ATR is 8, so pen_max = max(8, .75*8) = 8, back = max(2, .15*8) = 2, near = max(4, .33*8) = 4.
"""

import numpy as np
import pytest
from fast.closes import Close, make_bars, make_rows, setups_of

from mia._fast import evidence
from mia.core.base_types import Regime, SetupKind
from mia.core.kernel_params import kernel_params

P1, P2, P3, P4, P5 = (SetupKind[name] for name in ("P1", "P2", "P3", "P4", "P5"))
NAN = float("nan")


def hit(
    kind: SetupKind, strength: float, level: float, stop: float, target: float, traded: int
) -> list[object]:
    return [pytest.approx((kind, 1, strength, level, stop, target, traded), nan_ok=True)]


# L is 4 below VAL, C 4 above it.
# .30*tri(4, 8) .15 + .25*1.2/1.5 .20 + .25*clv 8/10 .20 + .10*F4 .04 + .10*(.06/.15) .04 = .63
# Stop 15996 - 2, so 10 ticks of risk; POC 16 away is worth 1.6 R.
DIP = Close(
    [(15999, 16006, 15996, 16004)],
    f4=0.4,
    fields={
        "vr": 1.2,
        "developing_valid": 1,
        "developing_val": 16000,
        "developing_poc": 16020,
        "developing_vah": 16040,
    },
)


def test_p1_a_dip_below_the_value_area_that_closes_back_inside_is_a_rejection() -> None:
    assert DIP.hits() == hit(P1, 0.63, 16000, 15994, 16020, 0)


def test_p1_a_strong_rejection_is_traded() -> None:
    # .3*tri(1, 8) .2625 + .25 + .25*1 + 0 + .04 = .8025; stop 15997, risk 13, POC is 10 away
    strong = DIP.but(ohlc=[(16000, 16010, 15999, 16010)], vr=1.5, f4=0.0)
    assert strong.hits() == hit(P1, 0.8025, 16000, 15997, 16040, 1)


def test_p1_aims_at_the_poc_from_one_and_a_half_times_the_risk() -> None:
    assert DIP.but(developing_poc=16019).hits()[0][5] == 16019  # 15 for 10
    assert DIP.but(developing_poc=16018).hits()[0][5] == 16040  # 14 for 10


@pytest.mark.parametrize(
    "miss",
    [
        DIP.but(ohlc=[(15999, 16006, 15996, 16001)]),  # closes 1 above, back is 2
        DIP.but(ohlc=[(15999, 16006, 15991, 16004)]),  # 9 below, pen_max is 8
        DIP.but(ohlc=[(16003, 16006, 16002, 16004)]),  # never nearer than 2
        DIP.but(ohlc=[(16005, 16006, 15996, 16004)]),  # red
        DIP.but(ohlc=[(16004, 16006, 15996, 16004)]),  # doji
        DIP.but(delta=0, f4=0.3),  # F4 must exceed .3
        DIP.but(regime__regime=Regime.STRONG_TREND_BEAR),
        DIP.but(developing_valid=0),
        DIP.but(rth=0),
    ],
)
def test_p1_near_misses(miss: Close) -> None:
    assert miss.hits() == []


@pytest.mark.parametrize(
    "close",
    [
        DIP.but(ohlc=[(15999, 16006, 15996, 16002)]),
        DIP.but(ohlc=[(15999, 16006, 15992, 16004)]),
        DIP.but(ohlc=[(16002, 16006, 16001, 16004)]),
        DIP.but(delta=0, f4=0.301),
        DIP.but(regime__regime=Regime.WEAK_TREND_BEAR),
    ],
)
def test_p1_just_hits(close: Close) -> None:
    assert [found[0] for found in close.hits()] == [P1]


def test_p1_takes_the_stronger_of_the_developing_and_the_previous_level() -> None:
    # pVAL one above the low: tri(1, 8) = .875 instead of .5 adds .3*.375 = .1125
    both = DIP.but(previous_valid=1, previous_val=15997, previous_poc=16030, previous_vah=16050)
    assert both.hits() == hit(P1, 0.7425, 15997, 15994, 16030, 1)


def test_p1_a_tie_takes_the_developing_level() -> None:
    both = DIP.but(previous_valid=1, previous_val=16000, previous_poc=16030, previous_vah=16050)
    assert both.hits() == hit(P1, 0.63, 16000, 15994, 16020, 0)


# SD 4: z = -2.25, -2.5, -2.0 at the three closes.
# .50*(2.5 - 1)/1.5 .50 + .25*.8 .20 + .15*clv 4/5 .12 + .10*F3 .03 = .85; the lowest low is 15985.
STRETCHED = Close(
    [
        (15992, 15993, 15985, 15991),
        (15991, 15992, 15986, 15990),
        (15990, 15993, 15988, 15992),
    ],
    f3=0.3,
    fields={"vr": 1.2, "vwap": 16000.0, "vwap_sd": 4.0, "vslope": 0.1, "vslope_valid": 1},
)


def test_p2_a_turn_far_below_a_flat_vwap_aims_at_the_vwap() -> None:
    assert STRETCHED.hits() == hit(P2, 0.85, 16000, 15983, 16000, 1)


def test_p2_z_is_that_of_each_close_with_its_own_vwap() -> None:
    # With VWAP 15998 at the bar before, z was -2.0 there: no rise from it.
    moved = STRETCHED.but(vwap=np.array([16000.0, 15998.0, 16000.0]))
    assert moved.hits() == []
    # With SD 2 at the first close z was -4.5 there: .50*1 again, so the strength stays.
    wide = STRETCHED.but(vwap_sd=np.array([2.0, 4.0, 4.0]))
    assert wide.hits()[0][2] == pytest.approx(0.85)


def test_p2_a_standard_deviation_below_one_counts_as_one() -> None:
    # z = -9, -10, -8
    assert STRETCHED.but(vwap_sd=0.1).hits()[0][2] == pytest.approx(0.85)


@pytest.mark.parametrize(
    "miss",
    [
        STRETCHED.but(vwap_sd=5.1),  # zmin -1.96
        STRETCHED.but(ohlc=[*STRETCHED.ohlc[:2], (15989, 15993, 15988, 15990)]),  # no rise
        STRETCHED.but(ohlc=[*STRETCHED.ohlc[:2], (15993, 15993, 15988, 15992)]),  # red
        STRETCHED.but(vslope=0.24),  # .03 ATR a bar
        STRETCHED.but(vslope=-0.24),
        STRETCHED.but(vslope_valid=0),
        STRETCHED.but(ohlc=STRETCHED.ohlc[1:]),  # two closes only
        STRETCHED.but(vwap=np.array([NAN, 16000.0, 16000.0])),
        STRETCHED.but(regime__regime=Regime.STRONG_TREND_BEAR),
        STRETCHED.but(rth=0),
    ],
)
def test_p2_near_misses(miss: Close) -> None:
    assert miss.hits() == []


def test_p2_just_hits_at_two_standard_deviations_and_a_quarter_of_one() -> None:
    # SD 5: zmin -2.0, .50*(1/1.5); rise .4. SD 4 and a close 1 higher: rise .25.
    assert STRETCHED.but(vwap_sd=5.0).hits()[0][2] == pytest.approx(0.85 - 0.5 + 1 / 3)
    one_up = STRETCHED.but(ohlc=[*STRETCHED.ohlc[:2], (15990, 15993, 15988, 15991)])
    assert [found[0] for found in one_up.hits()] == [P2]


# Closes 0, 1 and 3 above the flip.
# .4*3/8 .15 + .3*1.5/2 .225 + .3*(.06/.15) .12 = .495
THROUGH = Close(
    [
        (15999, 16001, 15998, 16000),
        (16000, 16002, 16000, 16001),
        (16001, 16004, 16001, 16003),
    ],
    fields={"vr": 1.5},
    options={"gamma_flip": 16000.0},
)


def test_p3_a_second_close_through_the_flip_is_momentum() -> None:
    assert THROUGH.hits() == hit(P3, 0.495, 16000, 15996, NAN, 0)


def test_p3_volume_and_delta_make_it_tradable() -> None:
    # .4*3/8 .15 + .3 + .3 = .75
    assert THROUGH.but(vr=2.5, delta=200).hits() == hit(P3, 0.75, 16000, 15996, NAN, 1)


@pytest.mark.parametrize(
    "miss",
    [
        THROUGH.but(ohlc=[(15999, 16001, 15998, 16001), *THROUGH.ohlc[1:]]),  # was through
        THROUGH.but(
            ohlc=[THROUGH.ohlc[0], (16000, 16002, 16000, 16000), THROUGH.ohlc[2]]
        ),  # one close only
        THROUGH.but(ohlc=[*THROUGH.ohlc[:2], (16001, 16004, 16001, 16001)]),  # 1 beyond, back is 2
        THROUGH.but(vr=1.2),
        THROUGH.but(delta=0),
        THROUGH.but(options={"gamma_flip": NAN}),
        THROUGH.but(ohlc=THROUGH.ohlc[1:]),
        THROUGH.but(options={"gamma_flip": 16000.0, "call_wall": 16003.0}, f9=0.5),  # pin .5
        THROUGH.but(rth=0),
    ],
)
def test_p3_near_misses(miss: Close) -> None:
    assert miss.hits() == []


def test_p3_bears_a_pin_below_one_half() -> None:
    # The put wall stands as far below as the call wall above, so that the mirror pins alike.
    pinned = THROUGH.but(options={"gamma_flip": 16000.0, "call_wall": 16003.0}, f9=0.49)
    assert [found[0] for found in pinned.hits()] == [P3]


# Base 15990 to 15998, launched at this bar.
# .6*(.4/.5) .48 + .4*.8 .32 = .80; low - 4 = 15986, the wide stop is 10 below 16002 = 15992
LAUNCH = Close(
    [(15996, 16001, 15996, 16000)],
    fields={
        "battle__signal": 1,
        "battle__golden": 0.6,
        "battle__confidence": 0.45,
        "battle__score": 0.4,
        "battle__base_quality": 0.8,
        "battle__active_dir": 1,
        "battle__active_low": 15990,
        "battle__active_high": 15998,
        "battle__launched": 1,
    },
)
PULLED_BACK = LAUNCH.but(
    ohlc=[(15990, 15992, 15989, 15991)], battle__launched=0, pattern=(0.61, 0, 0, 0)
)


def test_p4_a_launch_that_the_battle_confirms_is_a_hit_at_the_edge_it_left() -> None:
    assert LAUNCH.hits() == hit(P4, 0.8, 15998, 15986, NAN, 1)


def test_p4_the_stop_leaves_room_for_the_base() -> None:
    # A buy stop at 15993 inside the base: low - 4 is only 7 away, the rule asks max(6, 8 + 2) = 10.
    assert PULLED_BACK.hits() == hit(P4, 0.8, 15998, 15983, NAN, 1)
    # A base of 3 ticks is exempt: 6 below 15989 would be 15983, but 15988 - 4 stays.
    small = PULLED_BACK.but(
        ohlc=[(15986, 15988, 15985, 15987)], battle__active_low=15988, battle__active_high=15991
    )
    assert small.hits() == hit(P4, 0.8, 15991, 15984, NAN, 1)


def test_p4_either_long_pattern_serves_instead_of_a_launch() -> None:
    other = PULLED_BACK.but(pattern=(0, 0, 0, 0.61))
    assert other.hits() == hit(P4, 0.8, 15998, 15983, NAN, 1)


@pytest.mark.parametrize(
    "miss",
    [
        LAUNCH.but(battle__signal=0),
        LAUNCH.but(battle__golden=0.0),
        LAUNCH.but(battle__confidence=0.44),
        LAUNCH.but(battle__launched=0),
        LAUNCH.but(battle__active_launch=-1),  # not accepted: the active base is an older one
        LAUNCH.but(battle__active_dir=0),
        PULLED_BACK.but(pattern=(0.6, 0, 0, 0)),
        PULLED_BACK.but(pattern=(0, 0.9, 0.9, 0)),  # short patterns
        LAUNCH.but(rth=0),
    ],
)
def test_p4_near_misses(miss: Close) -> None:
    assert miss.hits() == []


# Low 15995, so 15992 is the stop and 10 the risk.
# .4*3/5 .24 + .3*.45/.6 .225 + .3*.2/.4 .15 = .615
LEAVING = Close(
    [(15997, 16004, 15995, 16002)],
    fields={"battle__score": 0.2},
    zones=((15996, 16000, 0.45, 3), (16012, 16013, 0.4, 2), (16017, 16019, 0.1, 2)),
)


def test_p5_a_bar_that_leaves_a_zone_aims_at_the_first_zone_worth_the_risk() -> None:
    # 16012 pays 10 for 10, 16017 pays 15.
    assert LEAVING.hits() == hit(P5, 0.615, 15998, 15992, 16017, 0)


def test_p5_without_a_zone_worth_it_the_target_is_a_multiple_of_the_risk() -> None:
    assert LEAVING.but(zones=LEAVING.zones[:2]).hits() == hit(P5, 0.615, 15998, 15992, NAN, 0)
    single = (*LEAVING.zones[:2], (16017, 16017, 0.9, 1))
    assert LEAVING.but(zones=single).hits() == hit(P5, 0.615, 15998, 15992, NAN, 0)


def test_p5_takes_the_strongest_zone_and_of_equals_the_nearest() -> None:
    # Both reach from the open to below the close: .4*4/5 .32 + .225 + .15 = .695 beats .615.
    overlapping = ((15994, 15996, 0.45, 4), (15996, 16000, 0.45, 3))
    assert LEAVING.but(zones=overlapping).hits() == hit(P5, 0.695, 15995, 15991, NAN, 0)
    equals = ((15994, 15996, 0.45, 3), (15996, 16000, 0.45, 3))
    assert LEAVING.but(zones=equals).hits()[0][3] == 15998


@pytest.mark.parametrize(
    "miss",
    [
        LEAVING.but(zones=((15996, 16000, 0.9, 2),)),
        LEAVING.but(zones=((15998, 16000, 0.45, 3),)),  # opened below it
        LEAVING.but(zones=((15996, 16002, 0.45, 3),)),  # closes on its edge
        LEAVING.but(zones=((15986, 15990, 0.45, 3),)),  # low 5 above it, near is 4
        LEAVING.but(ohlc=[(16003, 16004, 15995, 16002)]),  # red
        LEAVING.but(battle__score=-0.36),
        LEAVING.but(rth=0),
    ],
)
def test_p5_near_misses(miss: Close) -> None:
    assert miss.hits() == []


def test_p5_just_hits() -> None:
    assert [h[0] for h in LEAVING.but(zones=((15987, 15991, 0.45, 3),)).hits()] == [P5]
    # .24 + .225 + 0
    assert LEAVING.but(battle__score=-0.35).hits()[0][2] == pytest.approx(0.465)


def test_the_minimum_strength_of_each_pattern_decides_what_is_traded() -> None:
    bars = make_bars(DIP.ohlc, delta=60)
    rows = make_rows(bars, **DIP.fields)
    rows["feature"][:, 3] = DIP.f4
    evidence.Evidence(kernel_params(es_pattern_min_strength_P1=0.63)).run(bars, rows)
    assert setups_of(rows[-1])[0][-1] == 1


def test_hits_replace_the_setups_that_a_row_held() -> None:
    bars = make_bars(DIP.ohlc, delta=60)
    rows = make_rows(bars, n_setups=3, setup_kind=int(P5), **DIP.fields)
    evidence.Evidence(kernel_params()).run(bars, rows)
    assert [found[0] for found in setups_of(rows[-1])] == [P1]
