from hypothesis import given
from hypothesis import strategies as st

from mia.data.continuous import front_contracts
from mia.data.contracts import parse_contract

NAMES = ("ESU19", "ESZ19", "ESH20")


def front(table: dict[int, dict[str, int]]) -> dict[int, str]:
    return front_contracts(
        {day: list(volumes) for day, volumes in table.items()}, lambda name, day: table[day][name]
    )


def test_the_larger_volume_of_a_session_leads_from_the_next_one_on() -> None:
    table = {
        1: {"ESU19": 9, "ESZ19": 1},
        2: {"ESU19": 4, "ESZ19": 5},
        3: {"ESU19": 9, "ESZ19": 5},
    }
    assert front(table) == {1: "ESU19", 2: "ESU19", 3: "ESZ19"}


def test_the_lead_never_goes_back() -> None:
    table = {day: {"ESU19": 1, "ESZ19": 2} for day in (1, 2)}
    table |= {day: {"ESU19": 9, "ESZ19": 2} for day in (3, 4, 5)}
    assert list(front(table).values()) == ["ESU19", *["ESZ19"] * 4]


def test_equal_volumes_do_not_roll() -> None:
    assert set(front({day: {"ESU19": 5, "ESZ19": 5} for day in (1, 2, 3)}).values()) == {"ESU19"}


def test_a_leader_that_has_ended_gives_way_to_the_next_expiry() -> None:
    table = {1: {"ESU19": 9}, 2: {"ESZ19": 1, "ESH20": 5}, 3: {"ESZ19": 9, "ESH20": 1}}
    assert front(table) == {1: "ESU19", 2: "ESZ19", 3: "ESH20"}


def test_a_session_of_earlier_expiries_only_has_no_leader() -> None:
    table = {1: {"ESU19": 1, "ESZ19": 9}, 2: {"ESZ19": 9}, 3: {"ESU19": 9}, 4: {"ESZ19": 9}}
    assert front(table) == {1: "ESU19", 2: "ESZ19", 4: "ESZ19"}


def test_one_contract_is_its_own_series() -> None:
    assert front({1: {"ESU19": 1}, 2: {"ESU19": 2}}) == {1: "ESU19", 2: "ESU19"}
    assert front({}) == {}


@given(
    st.dictionaries(
        st.integers(1, 40),
        st.dictionaries(st.sampled_from(NAMES), st.integers(1, 9), min_size=1),
        max_size=20,
    ),
    st.integers(1, 40),
)
def test_expiries_ascend_and_the_future_changes_nothing(
    table: dict[int, dict[str, int]], cut: int
) -> None:
    whole = front(table)
    order = [parse_contract(name) for name in whole.values()]
    assert order == sorted(order)
    assert all(name in table[day] for day, name in whole.items())
    past = front({day: volumes for day, volumes in table.items() if day <= cut})
    assert past == {day: name for day, name in whole.items() if day <= cut}
