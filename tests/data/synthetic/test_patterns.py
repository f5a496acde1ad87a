import numpy as np
import pytest

from mia.data.synthetic import PatternKind, PatternPlan, SyntheticMarket
from mia.data.synthetic.patterns import RECIPES
from mia.errors import UsageError


def market(kind=None, strength=1.0, days=6, seed=1, per_session=8.0, **options):
    kinds = PatternKind if kind is None else [kind]
    plan = PatternPlan(strength, dict.fromkeys(kinds, per_session))
    return SyntheticMarket(
        seed, 20240506, days, planted=plan, trades_per_day=60_000, steady=True, **options
    )


def columns(block):
    return [block.ts_event, block.price, block.size, block.aggressor_side]


def test_strength_zero_is_the_null_market_to_the_byte():
    none = market(strength=0.0, days=2)
    null = market(strength=1.0, days=2, null=True)
    for a, b in zip(none.blocks(), null.blocks(), strict=True):
        assert all((x == y).all() for x, y in zip(columns(a), columns(b), strict=True))
    assert len(none.truth) == 0


def test_planting_leaves_the_market_before_the_first_pattern_alone():
    with_patterns, without = market(days=1), market(days=1, null=True)
    (a,), (b,) = with_patterns.blocks(), without.blocks()
    until = np.searchsorted(a.ts_event, with_patterns.truth["ts_event"][0])
    assert until > 1000
    assert all((x[:until] == y[:until]).all() for x, y in zip(columns(a), columns(b), strict=True))


@pytest.mark.parametrize("kind", PatternKind)
def test_the_price_follows_a_pattern_in_the_direction_of_its_side(kind):
    planted = market(kind, days=16)
    moves = []
    for tape in planted.tapes():
        for row in tape.truth:
            build_ns = int(RECIPES[kind].build_s * 1e9)
            start, end = np.searchsorted(
                tape.block.ts_event, [row["ts_event"] + build_ns, row["ts_end"]]
            )
            end = min(end, len(tape.latent) - 1)
            moves.append(row["side"] * (tape.latent[end] - tape.latent[start]))
    mean, error = np.mean(moves), np.std(moves) / np.sqrt(len(moves))
    assert len(moves) >= 20
    assert mean > 2.5 * error


def test_the_truth_is_by_time_does_not_overlap_and_lies_in_its_session():
    planted = market(days=3)
    truth = planted.truth
    assert set(truth["kind"].tolist()) == {int(kind) for kind in PatternKind}
    assert set(truth["side"].tolist()) == {-1, 1}
    assert (truth["ts_event"][1:] >= truth["ts_end"][:-1]).all()
    for session in planted.sessions():
        rows = truth[truth["session_id"] == session.session_id]
        assert (rows["ts_event"] >= session.t_open).all()
        assert (rows["ts_event"] < session.t_close).all()


def test_the_truth_needs_no_iteration_first():
    a, b = market(days=2), market(days=2)
    list(b.blocks())
    assert len(a.truth) > 0
    assert (a.truth == b.truth).all()


def test_absorption_is_sold_into_while_the_price_holds():
    for tape in market(PatternKind.ABSORPTION, days=3).tapes():
        for row in tape.truth:
            build = slice(
                *np.searchsorted(
                    tape.block.ts_event, [row["ts_event"], row["ts_event"] + 120 * 10**9]
                )
            )
            against = -row["side"]
            sides, sizes = tape.block.aggressor_side[build], tape.block.size[build]
            share = sizes[sides == against].sum() / sizes.sum()
            beyond = (tape.latent[build] - tape.latent[build.start]) * row["side"]
            assert share > 0.6
            assert beyond.min() >= -0.5 - 1e-6


def test_a_stop_run_starts_at_an_extreme_of_the_session():
    for tape in market(PatternKind.STOP_RUN, days=4).tapes():
        for row in tape.truth:
            k = int(np.searchsorted(tape.block.ts_event, row["ts_event"]))
            past = tape.latent[: k + 1]
            extreme = past.min() if row["side"] > 0 else past.max()
            assert abs(tape.latent[k] - extreme) <= RECIPES[PatternKind.STOP_RUN].reach + 0.5


def test_a_sweep_adds_its_trades_and_moves_several_ticks_within_a_second():
    moves, added = [], []
    for tape in market(PatternKind.SWEEP, days=4).tapes():
        for row in tape.truth:
            first, last = np.searchsorted(
                tape.block.ts_event, [row["ts_event"], row["ts_event"] + 600_000_000]
            )
            added.append(last - first)
            moves.append(row["side"] * (tape.block.price[last] - tape.block.price[first]))
    assert np.min(added) >= 50
    assert np.mean(moves) > 4


def test_a_level_rejection_names_a_round_level():
    truth = market(PatternKind.LEVEL_REJECTION, days=4).truth
    assert len(truth) > 0
    assert (truth["level"] % 40 == 0).all()


@pytest.mark.parametrize("strength", [-0.1, 1.5])
def test_a_strength_out_of_range_is_refused(strength):
    with pytest.raises(UsageError, match="strength must lie in"):
        PatternPlan(strength)


def test_too_many_patterns_are_refused():
    with pytest.raises(UsageError, match="SWEEP does not"):
        PatternPlan(0.5, {PatternKind.SWEEP: 21.0})
