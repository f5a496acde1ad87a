"""Flips, walls and the map to ES."""

from math import isnan, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mia.features.option_levels import (
    GammaTerms,
    es_level,
    find_flips,
    find_walls,
    grid,
    nearest_flip,
    spx_level,
)

STRIKES = np.array([4800.0, 4900.0, 5000.0, 5100.0, 5200.0])


def terms(*contracts):
    strike, total_vol, weight = (
        np.array(column, dtype=float) for column in zip(*contracts, strict=True)
    )
    ones = np.ones(len(strike))
    return GammaTerms(ones, ones, strike, total_vol, weight)


def flips_of(found, spot=5000.0):
    levels = grid(spot)
    return find_flips(found, levels, found.at(levels))


def test_a_book_of_one_sign_has_no_flip():
    assert flips_of(terms((5000.0, 0.03, 5.0), (5200.0, 0.05, 1.0))) == ()
    assert isnan(nearest_flip((), 5000.0))


def test_an_empty_book_has_no_flip():
    empty = np.empty(0)
    assert flips_of(GammaTerms(empty, empty, empty, empty, empty)) == ()


def test_the_exposure_at_a_flip_is_zero():
    book = terms((4800.0, 0.04, -700.0), (5200.0, 0.04, 800.0))
    (flip,) = flips_of(book)
    scale = np.max(np.abs(book.at(grid(5000.0))))
    assert abs(book.at_level(flip.level)) < 1e-9 * scale
    assert flip.slope > 0.0
    around = (book.at_level(flip.level + 1.0) - book.at_level(flip.level - 1.0)) / 2.0
    assert flip.slope == pytest.approx(around, rel=1e-3)


def test_a_symmetric_book_flips_at_its_geometric_centre():
    low, high, s = 4900.0, 5000.0 * 5000.0 / 4900.0, 0.03
    # Exposure is L * phi(d1) / s: equal weights meet where the two d1 are opposite.
    (flip,) = flips_of(terms((low, s, -100.0), (high, s, 100.0)))
    assert flip.level == pytest.approx(5000.0 * np.exp(-0.5 * s * s), abs=1e-6)


def test_all_flips_are_found_and_the_nearest_is_named():
    found = flips_of(terms((4600.0, 0.02, 300.0), (5000.0, 0.02, -300.0), (5400.0, 0.02, 300.0)))
    assert [np.sign(flip.slope) for flip in found] == [-1.0, 1.0]
    assert found[0].level < 5000.0 < found[1].level
    assert nearest_flip(found, 4700.0) == found[0].level
    assert nearest_flip(found, 5300.0) == found[1].level


def test_signs_without_substance_are_no_flip():
    assert flips_of(terms((5000.0, 0.01, 1e6), (4400.0, 0.004, -1e-6))) == ()


def walls(net, held=(nan, nan), move=40.0, spot=5000.0):
    net = np.array(net, dtype=float)
    return find_walls(STRIKES, net, np.abs(net), spot, move, held)


def test_walls_are_the_extremes_of_net_gamma_on_their_side():
    found = walls([-9.0, -5.0, 20.0, 7.0, 3.0])
    assert (found.call, found.second_call) == (5100.0, 5200.0)
    assert (found.put, found.second_put) == (4800.0, 4900.0)
    assert found.abs_gamma == 5000.0


def test_a_wall_keeps_its_distance_from_the_spot():
    found = walls([-1.0, -9.0, 0.0, 9.0, 1.0], move=500.0)
    assert (found.call, found.put) == (5200.0, 4800.0)
    assert isnan(found.second_call)


def test_there_is_no_wall_without_gamma_of_its_sign():
    found = walls([4.0, 5.0, 1.0, -2.0, -1.0])
    assert all(isnan(wall) for wall in (found.call, found.put, found.second_call))
    assert found.abs_gamma == 4900.0
    nothing = walls([0.0] * 5)
    assert isnan(nothing.abs_gamma)


def test_a_wall_stays_until_a_rival_beats_it_by_a_tenth():
    assert walls([-10.0, -10.9, 0.0, 10.0, 10.9], (5100.0, 4800.0)).call == 5100.0
    assert walls([-10.0, -10.9, 0.0, 10.0, 10.9], (5100.0, 4800.0)).put == 4800.0
    found = walls([-10.0, -11.1, 0.0, 10.0, 11.1], (5100.0, 4800.0))
    assert (found.call, found.put) == (5200.0, 4900.0)
    assert (found.second_call, found.second_put) == (5100.0, 4800.0)


def test_a_held_wall_that_is_no_longer_eligible_goes():
    assert walls([0.0, 0.0, 10.0, 9.5, 1.0], (5000.0, nan)).call == 5100.0
    assert walls([0.0, 0.0, 0.0, -1.0, 1.0], (5100.0, nan)).call == 5200.0


@given(st.floats(1000.0, 9000.0), st.floats(1000.0, 9000.0), st.floats(-90.0, 90.0))
def test_levels_survive_the_way_to_es_and_back(level, spot, basis):
    assert spx_level(es_level(level, spot, basis), spot, basis) == pytest.approx(level, rel=1e-12)


def test_the_spot_maps_to_the_future():
    assert es_level(5000.0, 5000.0, 37.25) == 5037.25
