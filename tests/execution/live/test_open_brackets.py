"""Closing beside the cycle touches what the cycle does not know, and nothing that it manages."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from mia.errors import BrokerError
from mia.execution.live.open_brackets import OpenBrackets

NOW = 7


class Broker:
    """Notes what is asked of it."""

    def __init__(self, brackets: list[Any], broken: str = "") -> None:
        self.asked: list[tuple[str, str]] = []
        self.manager = SimpleNamespace(ledger=SimpleNamespace(live=lambda: iter(brackets)))
        self.gate = SimpleNamespace(reopen=lambda: self.asked.append(("reopen", "")))
        self._broken = broken

    def cancel_entry(self, name: str, now: int) -> None:
        assert now == NOW
        if name == self._broken:
            raise BrokerError("gone")
        self.asked.append(("cancel", name))

    def flatten(self, name: str, now: int) -> None:
        assert now == NOW
        self.asked.append(("flatten", name))


def bracket(name: str, position: int = 0, is_open: bool = True) -> Any:
    order = SimpleNamespace(bracket_id=name)
    return SimpleNamespace(order=order, position=position, is_open=is_open)


def book(*brackets: Any, managed: str | None = None, broken: str = "") -> tuple[Any, Broker, Any]:
    position = None
    if managed is not None:
        position = SimpleNamespace(trade_id=managed, bars_left=3, entry_works=True)
    broker = Broker(list(brackets), broken)
    trader = SimpleNamespace(position=position)
    return OpenBrackets(cast("Any", trader), cast("Any", broker)), broker, position


def test_what_the_cycle_manages_is_left_and_everything_else_that_is_open_is_closed() -> None:
    closed = bracket("DONE", is_open=False)
    found, broker, _ = book(bracket("OURS", 2), bracket("STRAY", -1), closed, managed="OURS")
    assert list(found.held_beside_the_cycle()) == ["STRAY"]
    assert not found.are_none
    found.close_beside_the_cycle(NOW)
    assert broker.asked == [("cancel", "STRAY"), ("flatten", "STRAY")]


def test_nothing_is_open_only_without_a_position_and_without_a_stray() -> None:
    assert book()[0].are_none
    assert book(bracket("DONE", is_open=False))[0].are_none
    assert not book(bracket("STRAY"))[0].are_none
    assert not book(managed="OURS")[0].are_none


def test_an_emergency_closes_the_managed_one_too_and_goes_on_after_an_error() -> None:
    found, broker, _ = book(bracket("OURS", 2), bracket("STRAY", 1), managed="OURS", broken="OURS")
    found.leave_nothing(NOW)
    assert broker.asked == [("cancel", "STRAY"), ("flatten", "STRAY")]


@pytest.mark.parametrize("command", ["halt", "flatten"])
def test_a_command_cancels_the_entry_that_works(command: str) -> None:
    found, broker, position = book(managed="OURS")
    found.obey(command, NOW)
    assert broker.asked == [("cancel", "OURS")]
    assert position.bars_left == 0


def test_a_reset_opens_the_last_gate_and_cancels_nothing() -> None:
    found, broker, position = book(managed="OURS")
    found.obey("reset", NOW)
    assert broker.asked == [("reopen", "")]
    assert position.bars_left == 3


def test_leaving_cancels_an_entry_and_keeps_a_position() -> None:
    found, broker, position = book(managed="OURS")
    found.leave_entry(NOW)
    assert broker.asked == [("cancel", "OURS")]
    position.entry_works = False
    found.leave_entry(NOW)
    assert len(broker.asked) == 1
