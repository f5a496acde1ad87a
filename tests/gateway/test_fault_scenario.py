"""How faults are written, and what is said of one that is written wrongly."""

from pathlib import Path

import pytest

from mia.errors import ConfigError
from mia.gateway.faults import events as fault_events
from mia.gateway.faults import replies as fault_replies
from mia.gateway.faults import requests as fault_requests
from mia.gateway.faults.kinds import KINDS
from mia.gateway.faults.scenario import Frame, read_fault, read_scenario

HERE = Path(__file__).parent
PAGE = HERE.parent.parent / "docs" / "gateway.md"


def test_every_fault_is_tested_by_what_a_client_sees() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in HERE.glob("test_fault_*.py"))
    assert [name for name in KINDS if f'"{name}"' not in text] == []


def test_every_fault_can_happen() -> None:
    acts = fault_events.NAMES | fault_replies.NAMES | fault_requests.NAMES
    assert acts | {"handshake_zone"} == set(KINDS)


def test_every_fault_is_in_the_table_of_the_page() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert [name for name in KINDS if f"`{name}`" not in text] == []


def written(tmp_path, text):
    path = tmp_path / "scenario.toml"
    path.write_text(text, encoding="utf-8")
    return read_scenario(path)


def test_a_scenario_is_read_in_its_order(tmp_path) -> None:
    first, second = written(
        tmp_path,
        """
        [[fault]]
        name = "drop"
        when = { message = 3, count = 2, client = 1, order_ref = "*:S", time = 30 }
        after = true

        [[fault]]
        name = "late_execution"
        when = { time = 2025-03-10T14:30:00Z }
        seconds = 2
        """,
    )
    assert (first.name, second.name) == ("drop", "late_execution")
    assert first["after"]
    assert not first["reset"]
    assert second["seconds"] == 2.0
    assert first.when.is_due(40_000_000_000, 10_000_000_000)
    assert not first.when.is_due(39_999_999_999, 10_000_000_000)
    assert second.when.time == 1_741_617_000_000_000_000


def test_a_fault_happens_to_the_message_that_it_counts_and_to_no_other() -> None:
    fault = read_fault(
        {"name": "swallow", "when": {"message": [3, 5], "count": 2, "times": 2, "client": 4}}
    )
    taken = []
    for k in range(5):
        for client in (4, 7):
            frame = Frame("out", client, ["5", "1"])
            if fault.takes(frame, 0, 0):
                taken.append((k, client))
            assert not fault.takes(Frame("in", client, ["5", "1"]), 0, 0)
            assert not fault.takes(Frame("out", client, ["9", "1"]), 0, 0)
    assert taken == [(1, 4), (2, 4)]
    assert fault.is_spent


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[[fault]]\nkind = 'drop'", "a fault needs a name, one of bad_tick"),
        ("[[fault]]\nname = 'explode'", "unknown fault 'explode'"),
        ("[[fault]]\nname = 'drop'\nloud = true", "no parameter 'loud'"),
        ("[[fault]]\nname = 'drop'\nafter = 1", "after takes true or false"),
        ("[[fault]]\nname = 'freeze'\nseconds = nan", "finite"),
        ("[[fault]]\nname = 'drop'\nwhen = { mesage = 3 }", "unknown key 'mesage'"),
        ("[[fault]]\nname = 'drop'\nwhen = { message = 'three' }", "message takes message ids"),
        ("[[fault]]\nname = 'drop'\nwhen = { count = 0 }", "count must be"),
        ("[[fault]]\nname = 'drop'\nwhen = { direction = 'up' }", "direction is in or out"),
        ("[[fault]]\nname = 'reject'\nwhen = { direction = 'out' }", "direction must be 'in'"),
        ("[[fault]]\nname = 'drop'\nwhen = { time = 2025-03-10T14:30:00 }", "needs a zone"),
        ("[[fault]]\nname = 'drop'\nwhen = { time = -1 }", "time takes seconds"),
        ("[[fault]]\nname = 'drop'\nwhen = { order_ref = 3 }", "order_ref takes a text"),
        ("[[fault]]\nname = 'drop'\nwhen = 3", "when takes a table"),
        ("[[fault]]\nname = 'bad_tick'\nkind = 'odd'", "kind is one of zero"),
        ("[[fault]]\nname = 'cancel_answer'\ncode = 7", "code is one of 10147"),
        ("[fault]\nname = 'drop'", "written as"),
        ("speed = 3", "holds 'speed'"),
        ("[[fault", "is no TOML"),
    ],
)
def test_a_mistake_is_named_in_one_line(text, why, tmp_path) -> None:
    with pytest.raises(ConfigError) as caught:
        written(tmp_path, text)
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_scenario_is_named(tmp_path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml cannot be read"):
        read_scenario(tmp_path / "none.toml")
