"""Questions, their answers, and what became of those that came too late."""

import asyncio

import pytest

from mia.core.broker_types import Notice
from mia.core.ibkr.requests import RequestRefusedError, Requests
from mia.core.ibkr.streams import DepthBook
from mia.errors import BrokerError


async def at_once():
    """Messages may always be sent."""


def run(scene):
    asyncio.run(scene(Requests(at_once, timeout=0.05)))


def later(*calls):
    for delay, call, *arguments in calls:
        asyncio.get_running_loop().call_later(delay, call, *arguments)


def test_rows_are_gathered_until_the_end():
    async def scene(requests):
        def send(number):
            requests.row(number, "a")
            requests.row(number, "b")
            requests.end(number)

        answer = await requests.ask("letters", send)
        assert (answer.rows, answer.complete) == (["a", "b"], True)

    run(scene)


def test_ids_of_questions_are_apart_from_those_of_orders():
    async def scene(requests):
        assert requests.new_id() > 1 << 30

    run(scene)


def test_questions_of_one_kind_wait_for_each_other():
    async def scene(requests):
        sent = []

        def send(number):
            sent.append(number)
            later((0.01, requests.row, "orders", len(sent)), (0.02, requests.end, "orders"))

        answers = await asyncio.gather(
            *(requests.ask("orders", send, kind="orders") for _ in range(3))
        )
        assert [answer.rows for answer in answers] == [[1], [2], [3]]

    run(scene)


def test_an_answer_without_an_end_is_asked_for_again_and_then_given_up():
    async def scene(requests):
        sent = []
        with pytest.raises(BrokerError, match=r"orders: no end .* asked 3 times"):
            await requests.ask("orders", sent.append, attempts=3, timeout=0.01)
        assert len(sent) == 3

    run(scene)


def test_a_late_answer_does_not_pass_for_that_to_the_next_question():
    async def scene(requests):
        with pytest.raises(BrokerError, match="no end"):
            await requests.ask("orders", lambda _: None, kind="orders", attempts=1, timeout=0.01)

        def late():
            requests.row("orders", "old")
            requests.end("orders")

        def send(number):
            later((0.01, requests.row, "orders", "new"), (0.02, requests.end, "orders"))

        later((0.02, late))
        answer = await requests.ask("orders", send, kind="orders", timeout=0.1)
        assert answer.rows == ["new"]

    run(scene)


def test_a_quiet_answer_is_whole_enough_where_that_is_allowed():
    async def scene(requests):
        def send(number):
            later(*((k / 100, requests.row, number, k) for k in range(1, 8)))

        answer = await requests.ask("fills", send, timeout=0.02, quiet=0.05)
        assert (answer.rows, answer.complete) == ([1, 2, 3, 4, 5, 6, 7], False)

    run(scene)


def test_an_error_of_the_gateway_ends_its_question():
    async def scene(requests):
        def send(number):
            assert requests.refuse(Notice(number, 200, "unknown"))

        with pytest.raises(RequestRefusedError, match="ESZ25: the gateway refused, 200: unknown"):
            await requests.ask("ESZ25", send)
        assert not requests.refuse(Notice(4, 200, "unknown"))

    run(scene)


def test_a_lost_connection_ends_every_question():
    async def scene(requests):
        later((0.01, requests.abandon, "connection lost"))
        answers = await asyncio.gather(
            requests.ask("a", lambda _: None),
            requests.ask("b", lambda _: None, kind="b"),
            return_exceptions=True,
        )
        assert [str(answer) for answer in answers] == ["a: connection lost", "b: connection lost"]

    run(scene)


def test_a_book_shifts_its_levels_on_insert_and_delete():
    book = DepthBook("ESZ25")
    for k, price in enumerate((100, 98, 97)):
        book.change(k, 0, 1, price, 5)
    book.change(1, 0, 1, 99, 7)
    book.change(0, 2, 1, 0, 0)
    book.change(0, 1, 1, 99, 8)
    assert book.bids == [[99, 8], [98, 5], [97, 5]]
    assert book.asks == []
    assert book.valid


@pytest.mark.parametrize("change", [(4, 0), (3, 1), (3, 2), (-1, 0), (0, 7)])
def test_a_change_that_does_not_fit_makes_a_book_invalid(change):
    book = DepthBook("ESZ25")
    for k in range(3):
        book.change(k, 0, 0, 100 + k, 5)
    book.change(*change, 0, 90, 1)
    assert not book.valid
    book.clear()
    assert book.valid
    assert book.asks == []
