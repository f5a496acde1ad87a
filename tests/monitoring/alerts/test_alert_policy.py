from hypothesis import given
from hypothesis import strategies as st

from mia.core.alert_file import Alert, AlertLevel
from mia.monitoring.alerts.alert_policy import AlertPolicy, PolicyLimits

LIMITS = PolicyLimits(cool_down_s=60, escalate_after=5, escalate_s=600)


def alert(level=AlertLevel.INFO, key="key", text="text") -> Alert:
    return Alert(1, level, key, text, "trader")


def test_a_repetition_within_the_cool_down_is_counted_and_told_afterwards() -> None:
    policy = AlertPolicy(LIMITS)
    assert policy.judge(alert(text="a"), 0.0) is not None
    for second in range(1, 5):
        assert policy.judge(alert(text=f"b{second}"), float(second)) is None
    assert policy.due(59.0) == []
    (told,) = policy.due(60.0)
    assert told.text == "b4 (3 more like it before)"
    assert policy.due(200.0) == []


def test_what_comes_after_the_cool_down_says_how_many_were_held_back() -> None:
    policy = AlertPolicy(LIMITS)
    policy.judge(alert(), 0.0)
    policy.judge(alert(), 1.0)
    told = policy.judge(alert(text="again"), 61.0)
    assert told is not None
    assert told.text == "again (1 more like it before)"


def test_a_higher_level_is_not_held_back_by_a_lower_one() -> None:
    policy = AlertPolicy(LIMITS)
    policy.judge(alert(), 0.0)
    assert policy.judge(alert(AlertLevel.CRITICAL), 1.0) is not None
    assert policy.judge(alert(AlertLevel.WARNING), 2.0) is None


def test_other_keys_are_not_held_back() -> None:
    policy = AlertPolicy(LIMITS)
    told = [policy.judge(alert(key=f"fill:{n}"), 0.0) for n in range(50)]
    assert None not in told


def test_what_is_critical_cools_down_four_times_as_fast() -> None:
    policy = AlertPolicy(LIMITS)
    policy.judge(alert(AlertLevel.CRITICAL), 0.0)
    assert policy.judge(alert(AlertLevel.CRITICAL), 14.0) is None
    assert policy.judge(alert(AlertLevel.CRITICAL), 15.0) is not None


def test_a_warning_that_keeps_coming_back_becomes_critical_once() -> None:
    policy = AlertPolicy(LIMITS)
    levels = []
    for number in range(10):
        told = policy.judge(alert(AlertLevel.WARNING), 100.0 * number)
        assert told is not None
        levels.append(told.level)
    assert levels.index(AlertLevel.CRITICAL) == 4
    assert levels.count(AlertLevel.CRITICAL) == 2


def test_warnings_that_are_far_apart_stay_warnings() -> None:
    policy = AlertPolicy(LIMITS)
    for number in range(20):
        told = policy.judge(alert(AlertLevel.WARNING), 200.0 * number)
        assert told is not None
        assert told.level is AlertLevel.WARNING


def test_the_memory_of_keys_is_bounded() -> None:
    policy = AlertPolicy(LIMITS)
    for number in range(20_000):
        policy.judge(alert(key=f"k{number}"), number / 100)
    assert len(policy._known) <= 4096


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b"]),
            st.sampled_from(list(AlertLevel)),
            st.floats(0, 100, allow_nan=False),
        ),
        max_size=60,
    )
)
def test_every_alert_is_told_or_counted(events) -> None:
    policy = AlertPolicy(LIMITS)
    now, told = 0.0, []
    for key, level, pause in events:
        now += pause
        told += policy.due(now)
        one = policy.judge(alert(level, key), now)
        told += [one] if one is not None else []
    told += policy.rest()
    counted = 0
    for one in told:
        words = one.text.split("(")
        held = [int(w.split()[0]) for w in words if "more like it" in w]
        counted += 1 + sum(held)
    assert counted == len(events)
    worst = max((level for _, level, _ in events), default=None)
    if worst is not None:
        assert max(one.level for one in told) >= worst
