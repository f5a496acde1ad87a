import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import pytest
from discord_server import TOKEN, DiscordServer, SilentServer

from mia.core.alert_file import Alert, AlertLevel
from mia.errors import ConfigError
from mia.monitoring.alerts.discord_message import how_many, length, message
from mia.monitoring.alerts.discord_sender import DiscordPace, DiscordSender, webhook_address

QUICK = DiscordPace(timeout=5.0, channel_messages=1000, backoff_first=0.05, backoff_most=0.2)
NUMBERS = count()


def alert(level=AlertLevel.INFO, text="", key="") -> Alert:
    number = next(NUMBERS)
    return Alert(number, level, key or f"key:{number}", text or f"text {number}", "trader", 1)


@contextmanager
def sender(url: str, pace: DiscordPace = QUICK, most: int = 1000) -> Iterator[DiscordSender]:
    said: list[str] = []
    made = DiscordSender(url, said.append, most, pace)
    made.said = said  # type: ignore[attr-defined]
    try:
        yield made
    finally:
        made.close(0.0)
        assert not any(TOKEN in line for line in said)


def wait(condition, seconds=20.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.005)


def nothing() -> None:
    pass


def test_of_200_alerts_none_is_lost_and_no_answer_is_a_429() -> None:
    with DiscordServer(5, 0.2) as server, sender(server.url) as discord:
        sent = [alert(text=f"alert {number}") for number in range(200)]
        through = []
        for one in sent:
            discord.send(one, lambda: through.append(1))
        assert discord.close(20.0)
        assert sorted(server.texts()) == sorted(one.text for one in sent)
        assert len(through) == 200
        assert 429 not in server.answers
        assert not server.broken
        assert len(server.messages) <= 25


def test_a_bucket_that_others_have_used_up_costs_one_429_and_no_alert() -> None:
    with DiscordServer(5, 0.3, used=5) as server, sender(server.url) as discord:
        for number in range(60):
            discord.send(alert(text=f"alert {number}"), nothing)
        assert discord.close(20.0)
        assert server.answers.count(429) == 1
        assert server.answers[0] == 429
        assert len(server.texts()) == 60
        assert not server.broken


def test_without_headers_retry_after_alone_is_heeded() -> None:
    with DiscordServer(3, 0.2, headers=False) as server, sender(server.url) as discord:
        for number in range(60):
            discord.send(alert(text=f"alert {number}"), nothing)
            time.sleep(0.002)
        assert discord.close(20.0)
        assert len(server.texts()) == 60
        assert not server.broken


def test_the_worst_goes_first_and_levels_keep_their_order() -> None:
    with DiscordServer(1, 0.3) as server, sender(server.url) as discord:
        discord.send(alert(text="first"), nothing)
        wait(lambda: server.messages)
        for number in range(12):
            discord.send(alert(text=f"info {number}"), nothing)
        for number in range(3):
            discord.send(alert(AlertLevel.CRITICAL, f"critical {number}"), nothing)
        discord.send(alert(AlertLevel.WARNING, "warning"), nothing)
        assert discord.close(20.0)
        wanted = ["first", *(f"critical {n}" for n in range(3)), "warning"]
        assert server.texts() == [*wanted, *(f"info {n}" for n in range(12))]
        assert [len(m["embeds"]) for m in server.messages] == [1, 10, 6]
        assert server.messages[1]["content"] == "CRITICAL: critical 0"


def test_a_full_queue_loses_the_least_important_first_and_says_how_many() -> None:
    with DiscordServer(1, 0.4) as server, sender(server.url, most=20) as discord:
        discord.send(alert(text="first"), nothing)
        wait(lambda: server.messages)
        through = []
        for level in (AlertLevel.CRITICAL, AlertLevel.WARNING, AlertLevel.INFO):
            for number in range(15):
                one = alert(level, f"{level.name} {number}")
                discord.send(one, lambda: through.append(1))
        assert discord.queue.dropped == 25
        assert len(through) == 25
        assert discord.close(20.0)
        texts = server.texts()[1:]
        assert texts == [
            *(f"CRITICAL {number}" for number in range(15)),
            *(f"WARNING {number}" for number in range(10, 15)),
        ]
        assert "25 alerts of lower level were dropped" in server.messages[1]["content"]


@pytest.mark.parametrize("status", [404, 401])
def test_a_webhook_that_is_gone_is_never_used_again(status: int) -> None:
    with DiscordServer(50, 1, status=status) as server, sender(server.url) as discord:
        through = []
        discord.send(alert(), lambda: through.append(1))
        wait(lambda: discord.gone)
        discord.send(alert(), lambda: through.append(1))
        time.sleep(0.1)
        assert server.answers == [status]
        assert through == [1, 1]
        assert any(f"answers {status}" in line for line in discord.said)


def test_too_many_refusals_end_the_attempts_for_long() -> None:
    pace = DiscordPace(
        refusals=3, refusal_window=5.0, backoff_first=0.01, backoff_most=0.01, channel_messages=1000
    )
    with DiscordServer(50, 1, status=403) as server, sender(server.url, pace) as discord:
        discord.send(alert(), nothing)
        wait(lambda: len(server.answers) == 3)
        time.sleep(0.3)
        assert len(server.answers) == 3
        assert any("refused 3 times" in line for line in discord.said)


def test_what_a_server_fails_on_is_sent_when_it_is_well_again() -> None:
    with DiscordServer(50, 0.1, status=503) as server, sender(server.url) as discord:
        discord.send(alert(text="kept"), nothing)
        wait(lambda: len(server.answers) >= 3)
        server.status = 0
        assert discord.close(20.0)
        assert server.texts() == ["kept"]


def test_an_answer_that_never_comes_keeps_nobody_waiting() -> None:
    pace = DiscordPace(timeout=0.2, backoff_first=0.05, backoff_most=0.05)
    with SilentServer() as server, sender(server.url, pace) as discord:
        times = []
        for _ in range(2000):
            one = alert()
            began = time.perf_counter_ns()
            discord.send(one, nothing)
            times.append(time.perf_counter_ns() - began)
        wait(lambda: discord.failures >= 2)
        # The median: a busy machine makes single calls wait for the processor.
        assert sorted(times)[1000] < 50_000
        assert len(discord.queue) >= 990


def test_a_later_server_gets_what_an_earlier_one_never_answered() -> None:
    pace = DiscordPace(timeout=0.3, backoff_first=0.05, backoff_most=0.1)
    with DiscordServer(50, 1, hang=1.0) as server, sender(server.url, pace) as discord:
        discord.send(alert(AlertLevel.CRITICAL, "late"), nothing)
        wait(lambda: discord.failures >= 1)
        server.hang = 0.0
        wait(lambda: discord.sent == 1)
        assert "late" in server.texts()


def test_a_dead_address_is_asked_again_and_again() -> None:
    with SilentServer() as server:
        url = server.url
    with sender(url) as discord:
        discord.send(alert(), nothing)
        wait(lambda: discord.failures >= 3)
        assert len(discord.queue) == 1
        assert len(discord.said) == 1


def test_texts_of_any_length_and_script_are_taken() -> None:
    texts = ["x" * 5000, "\N{PILE OF POO}" * 3000, "@everyone <@1> \x00\ud800", "é" * 1499]
    with DiscordServer(50, 0.1) as server, sender(server.url) as discord:
        for text in texts:
            discord.send(alert(AlertLevel.CRITICAL, text, key="k" * 400), nothing)
        for _ in range(9):
            discord.send(alert(text="y" * 1500), nothing)
        assert discord.close(20.0)
        assert not server.broken
        assert len(server.embeds) == 13


def test_one_alert_that_is_not_taken_takes_no_other_with_it() -> None:
    with DiscordServer(50, 0.1, status=400) as server, sender(server.url) as discord:
        for number in range(3):
            discord.send(alert(text=f"bad {number}"), nothing)
        wait(lambda: discord.queue.dropped == 3)
        server.status = 0
        discord.send(alert(text="good"), nothing)
        assert discord.close(20.0)
        assert server.texts() == ["good"]


def test_the_channels_own_limit_is_kept_although_no_header_tells_it() -> None:
    pace = DiscordPace(channel_messages=2, channel_window=0.5)
    with DiscordServer(50, 0.1) as server, sender(server.url, pace) as discord:
        began = time.monotonic()
        for _ in range(50):
            discord.send(alert(text="z" * 10), nothing)
        assert discord.close(20.0)
        assert time.monotonic() - began > 0.9
        assert len(server.messages) >= 5


def test_many_threads_may_send_at_once() -> None:
    with DiscordServer(50, 0.1) as server, sender(server.url, most=5000) as discord:

        def send() -> None:
            for _ in range(100):
                discord.send(alert(), nothing)

        threads = [threading.Thread(target=send) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert discord.close(20.0)
        assert len(server.embeds) == 500
        assert discord.sent == 500


@pytest.mark.parametrize(
    "text",
    [
        "https://discord.com/api/webhooks/1/abc",
        "https://discordapp.com/api/v9/webhooks/1/abc",
        "https://canary.discord.com/api/webhooks/1/abc/",
    ],
)
def test_every_form_of_a_webhook_leads_to_version_ten(text: str) -> None:
    url = webhook_address(text)
    assert url.split("/api")[1] == "/v10/webhooks/1/abc?wait=true"


@pytest.mark.parametrize(
    "text",
    [
        "http://discord.com/api/webhooks/1/abc",
        "https://discord.com.evil.org/api/webhooks/1/abc",
        "https://evil.org/api/webhooks/1/abc",
        "http://10.0.0.1/api/webhooks/1/abc",
        "https://discord.com/api/webhooks/1",
        "https://discord.com/api/webhooks/1/secret?thread_id=5",
        "https://user:secret@evil.org/api/webhooks/1/secret",
        "secret",
        "https://[secret/api/webhooks/1/secret",
        "",
    ],
)
def test_a_wrong_address_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        webhook_address(text)
    assert "secret" not in str(caught.value)


def test_a_message_takes_as_many_alerts_as_fit() -> None:
    long = [alert(text="w" * 1400) for _ in range(10)]
    assert how_many(long) == 4
    assert how_many([alert() for _ in range(30)]) == 10
    assert length("\N{PILE OF POO}") == 2
    assert b'"parse": []' in message(long[:1])
