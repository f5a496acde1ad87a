"""Times are counted by powers of two, and none is lost beyond either end."""

import pytest

from mia.execution.stage_times import BUCKETS, CycleTimes, StageTimes


@pytest.mark.parametrize(
    ("taken_ns", "bucket"),
    [
        (1, 0),
        (2, 1),
        (3, 1),
        (1023, 9),
        (1024, 10),
        (2**39 - 1, 38),
        (2**39, 39),
        (2**45, BUCKETS - 1),
        (0, 0),
        (-5, 0),
    ],
)
def test_a_time_counts_between_the_powers_of_two_around_it(taken_ns: int, bucket: int) -> None:
    times = StageTimes()
    times.add(taken_ns)
    assert [k for k, count in enumerate(times.counts) if count] == [bucket]
    assert times.times == 1
    assert times.total_ns == max(taken_ns, 1)


def test_stages_are_named_in_the_order_of_the_cycle() -> None:
    times = CycleTimes()
    times.orders.add(8)
    named = times.named()
    assert list(named) == ["data", "features", "decision", "orders", "frame"]
    assert named["orders"].counts[3] == 1
    assert not any(sum(one.counts) for name, one in named.items() if name != "orders")
