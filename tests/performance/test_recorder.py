from run_cases import a_decision, a_run
from trading_cases import SESSION, a_closed_trade, at

from mia.core.base_types import OrderRole, Reason
from mia.core.trading_types import Fill
from mia.performance.recorder import RunRecord


def test_every_topic_is_kept_in_order_where_it_belongs():
    record = RunRecord()
    fill = Fill("t", OrderRole.ENTRY, at("10:01"), 1, 1, 25_001, 25_000, 2.25)
    decision = a_decision(at("10:00"), SESSION)
    events = {
        "session": SESSION,
        "decision": decision,
        "fill": fill,
        "closed": a_closed_trade(10.0),
        "unfilled": decision,
        "mark": (at("10:02"), SESSION, 50_010.0),
        "kill": ("cause", 0, 1),
    }
    for topic, event in events.items():
        record.publish(topic, event)
    kept = (record.sessions, record.decisions, record.fills, record.trades, record.unfilled)
    assert [*kept, record.marks, record.kills] == [[event] for event in events.values()]
    record.publish("session", SESSION + 1)
    assert record.sessions == [SESSION, SESSION + 1]


def test_unknown_topics_are_passed_over():
    record = RunRecord()
    record.publish("latency", 12)
    assert record == RunRecord()


def test_two_records_share_nothing():
    RunRecord().publish("session", SESSION)
    assert RunRecord().sessions == []


def test_rejections_count_closes_and_first_failures_the_most_frequent_first():
    record = RunRecord()
    for reason in (Reason.RR, Reason.OK, Reason.MTF, Reason.RR, Reason.OK):
        record.publish("decision", a_decision(at("10:00"), SESSION, reason=reason))
    assert list(record.rejections(7, 3).items()) == [
        ("REGIME_WAIT", 7),
        ("NO_SETUP", 3),
        ("RR", 2),
        ("MTF", 1),
    ]
    assert record.rejections(0, 0) == {"RR": 2, "MTF": 1}


def test_every_bar_is_a_rejection_a_proposal_or_both():
    run = a_run(seed=4)
    accepted = run.summary["accepted"]
    assert sum(run.summary["rejections"].values()) + accepted == run.summary["bars"]
