import numpy as np
import pytest

from mia.data.synthetic import exact, intraday


def test_slots_count_from_five_in_the_afternoon_in_chicago():
    assert intraday.slot_of("17:00") == 0
    assert intraday.slot_of("16:55") == 287
    assert intraday.slot_of("08:30") == 186


def test_a_table_passes_through_its_knots_and_is_straight_between_them():
    table = intraday.by_slot({"17:00": 1.0, "18:00": 13.0, "15:00": 13.0})
    assert table[:13].tolist() == list(range(1, 14))
    assert set(table[13:].tolist()) == {13.0}
    assert len(table) == intraday.SLOTS


def test_every_table_starts_at_the_open_and_ends_before_the_close():
    for knots in (intraday.VOLUME_KNOTS, intraday.TILT_KNOTS, intraday.VARIANCE_KNOTS):
        slots = [intraday.slot_of(label) for label in knots]
        assert slots[0] == 0
        assert slots == sorted(set(slots))
        assert slots[-1] < intraday.SLOTS


def test_the_shares_of_trades_make_a_whole():
    assert intraday.TRADE_SHARE.sum() == pytest.approx(1.0)
    assert intraday.TRADE_SHARE.min() > 0


@pytest.mark.parametrize("tilt", [-1.0, -0.4, 0.0, 0.7, 1.0])
def test_tilt_makes_trades_smaller_or_larger(tilt):
    u = exact.generator(1, 0, 0).random((200_000, 2))
    size = intraday.draw_sizes(u[:, 0], u[:, 1], np.full(len(u), tilt))
    plain = intraday.draw_sizes(u[:, 0], u[:, 1], np.zeros(len(u)))
    assert np.sign(size.mean() - plain.mean()) == np.sign(tilt)
    assert size.min() == 1
    assert size.max() <= 900


def test_the_expected_size_is_that_of_the_draws():
    u = exact.generator(2, 0, 0).random((400_000, 2))
    for slot in (0, intraday.slot_of("10:00"), intraday.slot_of("15:00")):
        size = intraday.draw_sizes(u[:, 0], u[:, 1], np.full(len(u), intraday.TILT[slot]))
        assert size.mean() == pytest.approx(intraday.mean_size()[slot], rel=0.02)


def test_impact_grows_with_size_and_has_mean_square_one():
    assert (np.diff(intraday.IMPACT[1:]) > 0).all()
    assert (intraday.IMPACT[intraday.SIZES] ** 2).mean() == pytest.approx(1.0)
