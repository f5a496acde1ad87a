import time
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from mia.core.alert_file import NAME, AlertFile, AlertLevel, AlertTail
from mia.core.base_types import ExitReason, OrderRole, TradingState
from mia.core.broker_types import LinkState
from mia.core.market_feed import FeedNotice, FeedNoticeKind
from mia.core.trading_types import Fill
from mia.data.state_files import KillCommand
from mia.errors import OrderRefused
from mia.execution.alert_events import AlertEvents
from mia.execution.kill_switch import Cause, Rule
from mia.execution.orders.states import Alarm, Trouble
from mia.execution.reconciler import Reconciliation
from mia.redaction import Redactor

INFO, WARNING, CRITICAL = AlertLevel.INFO, AlertLevel.WARNING, AlertLevel.CRITICAL
NORMAL, HALT, FLAT, EMERGENCY = TradingState


@dataclass
class Told:
    """Events in, alerts out."""

    events: AlertEvents
    tail: AlertTail
    held: list[str] = field(default_factory=lambda: [""])

    def of(self, topic: str, event: object) -> list[tuple[AlertLevel, str, str]]:
        self.events.publish(topic, event)
        return self.new()

    def new(self) -> list[tuple[AlertLevel, str, str]]:
        return [(a.level, a.key, a.text) for _, a in self.tail.read()]


@pytest.fixture
def told(tmp_path):
    file = AlertFile(tmp_path / NAME, Redactor(), "trader")
    held = [""]
    events = AlertEvents(file, lambda: 5, lambda: 7, lambda: held[0])
    tail = AlertTail(tmp_path / NAME)
    yield Told(events, tail, held)
    file.close()
    tail.close()


@pytest.fixture
def ready(told):
    assert told.of("ready", 1)[0][0] is INFO
    return told


def kill(rule: Rule, state: TradingState, until: int | None = None, before=NORMAL):
    return (Cause(rule, state, 0, until, 20250310), before, max(before, state))


@pytest.mark.parametrize(
    ("rule", "state", "level"),
    [
        (Rule.DAILY_LOSS, FLAT, CRITICAL),
        (Rule.DAY_LOSS_R, FLAT, CRITICAL),
        (Rule.UNHANDLED_EXCEPTION, EMERGENCY, CRITICAL),
        (Rule.JOURNAL, HALT, CRITICAL),
        (Rule.VIX, HALT, WARNING),
        (Rule.DATA_STALE, HALT, WARNING),
    ],
)
def test_a_change_of_the_kill_switch_is_told_by_its_weight(ready, rule, state, level) -> None:
    ((found, key, text),) = ready.of("kill", kill(rule, state))
    assert (found, key) == (level, f"kill:{rule.value}")
    assert f"from NORMAL to {state.name}" in text


def test_a_lost_broker_is_critical_only_with_something_open(ready) -> None:
    assert ready.of("kill", kill(Rule.BROKER_LOST, HALT))[0][0] is WARNING
    assert ready.of("link", ("orders", LinkState.READY, "")) == []
    ready.held[0] = "2 MES long"
    ((level, key, text),) = ready.of("link", ("orders", LinkState.DISCONNECTED, "reset"))
    assert (level, key) == (CRITICAL, "link:orders:lost")
    assert "2 MES long" in text
    assert ready.of("link", ("orders", LinkState.DISCONNECTED, "again")) == []
    ((level, key, _),) = ready.of("link", ("orders", LinkState.READY, ""))
    assert (level, key) == (INFO, "link:orders:READY")


def test_on_the_way_to_the_first_connection_nothing_is_lost(told) -> None:
    assert told.of("link", ("orders", LinkState.DISCONNECTED, "")) == []
    assert told.of("kill", kill(Rule.BROKER_LOST, HALT)) == []
    assert told.of("kill", kill(Rule.COMMAND_HALT, HALT)) != []


def test_connections_that_are_closed_at_the_end_are_not_lost(ready) -> None:
    ready.of("link", ("market", LinkState.READY, ""))
    ready.events.is_over = True
    assert ready.of("link", ("market", LinkState.DISCONNECTED, "on request")) == []


def test_a_state_that_falls_is_told_once(ready) -> None:
    ready.of("kill", kill(Rule.VIX, HALT))
    ready.events.state(HALT)
    assert ready.new() == []
    ready.events.state(NORMAL)
    ready.events.state(NORMAL)
    ((level, _, text),) = ready.new()
    assert level is INFO
    assert text == "HALT_ENTRIES is over, now NORMAL"


def test_each_fill_has_a_key_of_its_own(ready) -> None:
    keys = set()
    for ts in range(3):
        fill = Fill("TRADE_1", OrderRole.ENTRY, ts, 1, 2, 23_565, 23_565, 4.5)
        ((level, key, text),) = ready.of("fill", fill)
        assert level is INFO
        assert text == "bought 2 at 5891.25, ENTRY"
        keys.add(key)
    assert len(keys) == 3


@pytest.mark.parametrize(
    ("trouble", "halt", "level"),
    [
        (Trouble.UNPROTECTED, HALT, CRITICAL),
        (Trouble.UNKNOWN_POSITION, HALT, CRITICAL),
        (Trouble.REJECT, NORMAL, WARNING),
        (Trouble.SUSPECT, FLAT, CRITICAL),
    ],
)
def test_an_alarm_of_the_order_manager_is_told_by_its_weight(ready, trouble, halt, level) -> None:
    alarm = Alarm(trouble, 1, "TRADE_1:S", "no stop works", halt)
    ((found, key, text),) = ready.of("alarm", alarm)
    assert (found, key) == (level, f"order:{trouble.value}:TRADE_1:S")
    assert "no stop works" in text


def test_a_book_that_differs_from_the_brokers_is_told(ready) -> None:
    assert ready.of("reconciled", Reconciliation(complete=True)) == []
    assert ready.of("reconciled", Reconciliation(booked=["e1"])) == []
    ((level, key, _),) = ready.of("reconciled", Reconciliation(quarantined={"ESM25": 3}))
    assert (level, key) == (CRITICAL, "reconciliation:quarantined")
    ((level, _, text),) = ready.of("reconciled", Reconciliation(vanished=list("abcdefg")))
    assert level is WARNING
    assert text.endswith("a, b, c, d, e ...")


def test_an_order_that_was_refused_names_the_gate(ready) -> None:
    decision = SimpleNamespace(quantity=2, symbol="MES")
    refusal = OrderRefused("SIZE", "2 is above 1")
    ((level, key, text),) = ready.of("refused", (decision, refusal))
    assert (level, key) == (WARNING, "refused:SIZE")
    assert "2 is above 1" in text
    quiet = OrderRefused("DRY_RUN", "nothing is sent", counts=False)
    assert ready.of("refused", (decision, quiet))[0][0] is INFO


@pytest.mark.parametrize(
    ("topic", "event", "level", "key"),
    [
        ("failed", RuntimeError("U7654321"), CRITICAL, "failed"),
        ("command", KillCommand("halt"), WARNING, "command:halt"),
        ("feed", ("sierra", FeedNotice(FeedNoticeKind.GAP, "x")), WARNING, "feed:sierra:GAP"),
        ("feed", ("sierra", FeedNotice(FeedNoticeKind.LINK_UP, "x")), INFO, "feed:sierra:LINK_UP"),
        ("hole", "10 s", WARNING, "feed:hole"),
        ("model", ("promoted", "m1"), INFO, "model:promoted"),
        ("model", ("demoted", "m1"), WARNING, "model:demoted"),
        (
            "closed",
            SimpleNamespace(
                trade_id="T", exit_reason=ExitReason.STOP, net_pnl=-52.5, r_multiple=-1.0
            ),
            INFO,
            "closed:T",
        ),
        (
            "orphan_fill",
            Fill("TRADE_1", OrderRole.ENTRY, 1, 1, 2, 23_565, 23_565, 4.5),
            CRITICAL,
            "orphan:TRADE_1",
        ),
    ],
)
def test_other_events_have_their_weight(ready, topic, event, level, key) -> None:
    ((found, name, text),) = ready.of(topic, event)
    assert (found, name) == (level, key)
    assert "7654321" not in text


def test_topics_that_nobody_must_hear_of_write_nothing(ready) -> None:
    for topic in ("block", "rows", "beat", "index", "decision", "notice", "bad_tick"):
        assert ready.of(topic, object()) == []


def test_a_slow_or_failing_subscriber_is_told(ready) -> None:
    ready.events.subscriber("screen", "held the cycle for 31 ms")
    ((level, key, text),) = ready.new()
    assert (level, key, text) == (WARNING, "subscriber:screen", "screen held the cycle for 31 ms")


def times_of(told, clock, count: int) -> list[int]:
    fill = Fill("TRADE_20250310_143000_00000001", OrderRole.ENTRY, 1, 1, 2, 23_565, 23_565, 4.5)
    times = []
    for _ in range(count):
        began = clock()
        told.events.publish("fill", fill)
        times.append(clock() - began)
    return sorted(times)


def test_to_write_an_alert_takes_the_cycle_microseconds(ready) -> None:
    # The median of processor time: a busy machine makes single calls wait.
    assert times_of(ready, time.thread_time_ns, 2000)[1000] < 50_000


@pytest.mark.idle
def test_of_a_hundred_alerts_99_are_written_within_50_microseconds(ready) -> None:
    times = times_of(ready, time.perf_counter_ns, 20_000)
    print(f"p50 {times[10_000] / 1e3:.1f} us, p99 {times[19_800] / 1e3:.1f} us")
    assert times[19_800] < 50_000
