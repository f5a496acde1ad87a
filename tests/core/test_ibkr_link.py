import pytest

from mia.core.broker_types import LinkState
from mia.core.ibkr.link import Link, LinkTimes, Step, farm_of

TIMES = LinkTimes(heartbeat_every=2.0, heartbeat_timeout=4.0, dead_after=20.0, tick_age=10.0)


@pytest.fixture
def changes():
    return []


@pytest.fixture
def link(changes):
    return Link(TIMES, lambda state, reason: changes.append((state, reason)))


def ready(link):
    link.connecting("here")
    link.started()
    link.synced(link.epoch)
    return link


def states(changes):
    return [state for state, _ in changes]


def test_a_connection_is_ready_only_after_reconciling(link, changes):
    link.connecting("127.0.0.1:4002 as client 7")
    assert link.started() == [Step.RECONCILE]
    assert not link.gates(0.0).orders
    assert link.synced(link.epoch)
    assert states(changes) == [LinkState.CONNECTING, LinkState.SYNCING, LinkState.READY]
    assert link.gates(0.0).orders


def test_1100_stops_orders_without_dropping_the_socket(link):
    ready(link)
    assert link.notice(1100, "Connectivity lost") == []
    gates = link.gates(0.0)
    assert link.state is LinkState.DEGRADED
    assert gates.socket
    assert not gates.broker_link
    assert not gates.orders


@pytest.mark.parametrize(("code", "after"), [(1101, Step.RESUBSCRIBE), (1102, Step.EXPECT_TICKS)])
def test_restored_links_reconcile_and_only_lost_data_is_subscribed_anew(link, code, after):
    ready(link)
    link.notice(1100, "lost")
    assert link.notice(code, "restored") == [Step.RECONCILE, after]
    assert link.state is LinkState.SYNCING
    assert link.synced(link.epoch)
    assert link.state is LinkState.READY


def test_what_was_read_before_another_loss_does_not_unlock(link):
    ready(link)
    link.notice(1102, "restored")
    epoch = link.epoch
    link.notice(1100, "lost again")
    link.notice(1102, "restored again")
    assert not link.synced(epoch)
    assert link.state is LinkState.SYNCING


def test_a_gateway_that_starts_without_its_broker_is_degraded_until_1102(link):
    link.connecting("here")
    link.notice(1100, "lost")
    assert link.started() == []
    assert link.state is LinkState.DEGRADED
    assert link.notice(1102, "restored")[0] is Step.RECONCILE


def test_2110_ends_with_the_first_farm_that_speaks_and_1100_does_not(link):
    ready(link)
    link.notice(2110, "broken")
    assert link.notice(2104, "OK:usfuture") == [Step.RECONCILE]
    ready(link)
    link.notice(1100, "broken")
    assert link.notice(2104, "OK:usfuture") == []
    assert link.state is LinkState.DEGRADED


def test_a_farm_that_breaks_stops_data_and_not_orders(link):
    ready(link)
    link.ticked(0.0)
    link.notice(2103, "Market data farm connection is broken:usfuture")
    gates = link.gates(1.0)
    assert gates.orders
    assert not gates.data
    assert link.broken_farms == {"usfuture"}
    assert link.notice(2104, "Market data farm connection is OK:usfuture") == [Step.EXPECT_TICKS]
    assert link.gates(1.0).data


def test_a_farm_that_was_never_broken_asks_for_nothing(link):
    ready(link)
    assert link.notice(2104, "Market data farm connection is OK:usfuture") == []
    assert link.notice(2108, "inactive but should be available:usfuture") == []


def test_a_competing_session_stops_data_until_ticks_return(link):
    ready(link)
    link.ticked(0.0)
    assert link.notice(10197, "competing live session") == [Step.EXPECT_TICKS]
    assert not link.gates(1.0).sole_session
    link.ticked(1.0)
    assert link.gates(1.0).data


def test_lost_live_updates_are_watched(link):
    ready(link)
    assert link.notice(10182, "Failed to request live updates") == [Step.EXPECT_TICKS]


def test_a_changed_port_stops_for_good(link):
    ready(link)
    assert link.notice(1300, "the port is now 4010") == [Step.STOP]
    assert link.state is LinkState.DISCONNECTED
    assert "4010" in link.reason


def test_a_silent_gateway_is_degraded_then_dead(link):
    ready(link)
    assert link.heartbeat_due(0.0)
    link.asked(0.0)
    link.check(3.9)
    assert link.state is LinkState.READY
    link.check(4.0)
    assert link.state is LinkState.DEGRADED
    assert not link.gates(4.0).heartbeat
    assert not link.is_dead(19.9)
    assert link.is_dead(20.0)


def test_an_unanswered_question_is_asked_again_and_still_counts_from_the_first(link):
    ready(link)
    link.asked(0.0)
    assert not link.heartbeat_due(1.9)
    assert link.heartbeat_due(2.0)
    link.asked(2.0)
    link.check(4.5)
    assert link.state is LinkState.DEGRADED


def test_an_answer_after_a_silence_reconciles_first(link):
    ready(link)
    link.asked(0.0)
    link.check(5.0)
    assert link.answered() == [Step.RECONCILE]
    assert link.state is LinkState.SYNCING


def test_an_answer_does_not_heal_a_lost_broker(link):
    ready(link)
    link.notice(1100, "lost")
    link.asked(0.0)
    assert link.answered() == []
    assert link.state is LinkState.DEGRADED


def test_a_program_that_stood_still_trusts_nothing_until_the_gateway_answers(link):
    ready(link)
    link.pulse(100.0)
    link.pulse(103.0)
    assert link.state is LinkState.READY
    link.pulse(133.0)
    assert link.state is LinkState.DEGRADED
    assert "stood still" in link.reason
    assert link.heartbeat_due(133.0)
    link.asked(133.0)
    assert link.answered() == [Step.RECONCILE]


def test_something_that_could_not_be_read_about_orders_reconciles(link):
    ready(link)
    assert link.doubt("message 11 could not be read") == [Step.RECONCILE]
    assert not link.gates(0.0).orders


def test_nothing_is_left_of_a_lost_connection(link):
    ready(link)
    link.notice(2103, "broken:usfuture")
    link.asked(0.0)
    link.lost("closed")
    assert not link.gates(100.0).socket
    assert not link.is_dead(100.0)
    assert not link.heartbeat_due(100.0)
    ready(link)
    assert link.broken_farms == frozenset()


def test_ticks_age_only_while_the_market_is_open(link):
    ready(link)
    assert not link.gates(0.0).ticks
    link.ticked(0.0)
    assert link.gates(10.0).ticks
    assert not link.gates(10.1).ticks
    assert link.gates(10.1, market_open=False).ticks


def test_the_farm_is_what_follows_the_last_colon():
    assert farm_of("Market data farm connection is OK:usfarm.nj") == "usfarm.nj"
