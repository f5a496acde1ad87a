"""The order manager on the journal that is used: what is written comes back, and in time."""

from order_broker import T0, Desk

from mia.data.journal import Journal


def open_journal(path) -> Journal:
    return Journal.open(path / "journal.db", clock=lambda: T0, reserve_bytes=0)


def test_a_bracket_that_was_cut_off_by_a_kill_is_found_in_the_journal(tmp_path) -> None:
    with open_journal(tmp_path) as journal:
        desk = Desk(journal).ready()
        name = desk.submit(quantity=2)
        desk.fill(name, "E", 1)
        desk.manager.modify_stop(name, 23_996, 0)
        desk.deliver()
        known = desk.manager.state_hash()
        desk.drop()
    desk.broker.fill(desk.order(name, "S"), 1)
    desk.broker.outbox.clear()
    with open_journal(tmp_path) as journal:
        desk.journal = journal
        desk.start()
        assert desk.manager.state_hash() == known
        desk.connect()
        result = desk.query()
        assert len(result.booked) == 1
        assert desk.manager.position(name) == 0
        live = desk.manager.state_hash()
    with open_journal(tmp_path) as journal:
        desk.journal = journal
        desk.start()
        assert desk.manager.state_hash() == live


def test_an_intent_is_readable_by_others_before_its_bytes_leave(tmp_path) -> None:
    with open_journal(tmp_path) as journal:
        desk = Desk(journal).ready()
        seen = []
        desk.broker.on_bytes = lambda what, ticket: seen.append(
            any(ticket.order_ref in str(event.payload) for event in journal.events())
        )
        name = desk.submit()
        desk.fill(name, "E")
        desk.manager.flatten(name, 0)
        assert seen == [True] * 4
