import numpy as np
import pytest

from mia.data.synthetic import arrivals, clock, exact

(SESSION,) = clock.sessions(20240506, 1)


def test_immigrants_are_poisson_at_the_expected_rate():
    expected = np.full(1380, 50.0)
    expected[600:] = 150.0
    times = arrivals.immigrants(SESSION, expected, exact.generator(1, 0, 0))
    count = np.bincount(times // (60 * 10**9), minlength=1380)
    assert (np.diff(times) >= 0).all()
    assert count[:600].mean() == pytest.approx(50, rel=0.02)
    assert count[600:].mean() == pytest.approx(150, rel=0.02)
    assert count[600:].var() / count[600:].mean() == pytest.approx(1.0, abs=0.25)


def test_a_cluster_has_the_size_that_the_branching_ratio_implies():
    roots = np.arange(20_000, dtype=np.int64) * 10**7
    every = arrivals.cluster(roots, 10**15, exact.generator(2, 0, 0))
    assert len(every) / len(roots) == pytest.approx(1 / (1 - arrivals.BRANCHING), rel=0.1)
    assert (np.diff(every) >= 0).all()


def test_branching_lies_where_index_futures_have_it():
    assert 0.8 <= arrivals.BRANCHING <= 0.9


def test_no_trade_leaves_the_session():
    for start in (20240506, 20241224, 20190809):
        (session,) = clock.sessions(start, 1)
        expected = arrivals.minute_counts(session, 20_000)
        times = arrivals.arrival_times(session, expected, exact.generator(3, 0, 0))
        assert len(expected) == session.seconds // 60
        assert times[0] >= session.t_open
        assert times[-1] < session.t_close
        inside = [((times >= start) & (times < end)).sum() for start, end in session.spans]
        assert sum(inside) == len(times)
        assert min(inside) > 0


def test_a_session_has_as_many_trades_as_asked_for():
    expected = arrivals.minute_counts(SESSION, 100_000)
    counts = [
        len(arrivals.arrival_times(SESSION, expected, exact.generator(4, k, 0))) for k in range(8)
    ]
    assert expected.sum() == pytest.approx(100_000)
    assert np.mean(counts) == pytest.approx(100_000, rel=0.05)


def test_activity_has_mean_one():
    factors = [arrivals.activity(SESSION, exact.generator(5, k, 0)) for k in range(100)]
    assert np.mean(factors) == pytest.approx(1.0, abs=0.03)
    assert np.min(factors) > 0
