"""Sends alerts to a webhook of Discord, in a thread of its own, within Discord's limits.

What may be sent when is read from the headers of each answer; a 429 says how long to wait, in
seconds. Messages go one after the other, so there is never a second one on its way when the
first is refused. A webhook that is gone is never used again, and one that refuses is left alone
for long, because an address from which too many refused requests come is shut out by Discord.

A message counts as sent once Discord says so. One whose answer was lost is sent again: an alert
may come twice, it does not go missing.
"""

import json
import re
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite
from urllib.parse import urlsplit

from mia.core.alert_file import Alert
from mia.errors import ConfigError
from mia.monitoring.alerts.alert_queue import AlertQueue, Waiting
from mia.monitoring.alerts.discord_message import MOST_ALERTS, how_many, message
from mia.monitoring.alerts.http_request import Answer, request

_API = "/api/v10/webhooks/"
_PATH = re.compile(r"/api/(?:v\d+/)?webhooks/(\d+)/([A-Za-z0-9_-]+)/?$")
_HOSTS = re.compile(r"(?:(?:ptb|canary)\.)?discord(?:app)?\.com")
_HEADERS = {"Content-Type": "application/json", "User-Agent": "MIA (alerts, 1)"}
_GONE = (401, 404)
_REFUSED = (401, 403, 429)


@dataclass(frozen=True, slots=True)
class DiscordPace:
    """How patient the sender is; all times in seconds.

    Attributes
    ----------
    timeout : float
        Until an answer counts as lost.
    channel_messages, channel_window : int, float
        Messages that a channel takes in a time, which Discord does not always say in its headers.
    refusals, refusal_window : int, float
        Answers 401, 403 and 429 in a time after which nothing is sent for that time.
    backoff_first, backoff_most : float
        Pause after an answer that says nothing, doubled each time.
    margin : float
        Added to what Discord asks for.
    """

    timeout: float = 10.0
    channel_messages: int = 30
    channel_window: float = 60.0
    refusals: int = 50
    refusal_window: float = 600.0
    backoff_first: float = 1.0
    backoff_most: float = 60.0
    margin: float = 0.02


def webhook_address(webhook: str) -> str:
    """Return the address to post to: version 10 of the API, asked to answer after the message.

    Raises
    ------
    ConfigError
        If it is no webhook of Discord; plain HTTP is for servers on this machine only. The
        message does not hold the address.
    """
    try:
        parts = urlsplit(webhook.strip())
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host = ""
        port = None
        parts = urlsplit("")
    found = _PATH.match(parts.path)
    local = host in ("127.0.0.1", "localhost", "::1")
    proper = parts.scheme == "https" and (local or _HOSTS.fullmatch(host) is not None)
    if found is None or parts.query or not (proper or (local and parts.scheme == "http")):
        raise ConfigError(
            "alerts.discord_webhook is no webhook: copy it from Discord as "
            "https://discord.com/api/webhooks/NUMBER/TOKEN"
        )
    place = f"[{host}]" if ":" in host else host
    place += f":{port}" if port is not None else ""
    return f"{parts.scheme}://{place}{_API}{found[1]}/{found[2]}?wait=true"


class DiscordSender:
    """A subscriber of alerts that sends them to Discord.

    Parameters
    ----------
    webhook : str
        Its address; it appears in nothing that this class says.
    say : callable
        Told in a line what is wrong with the channel.
    most : int
        Alerts that may wait.
    pace : DiscordPace

    Attributes
    ----------
    name : str
    sent, messages, refused, failures : int
        Alerts that Discord took, messages they came in, answers 429, and posts without an answer
        that helps.
    gone : str
        Why the webhook is not used any more, empty while it is.
    """

    name = "discord"

    def __init__(
        self,
        webhook: str,
        say: Callable[[str], None],
        most: int = 1000,
        pace: DiscordPace | None = None,
    ) -> None:
        self._url = webhook_address(webhook)
        self._say = say
        self._pace = pace or DiscordPace()
        self.queue = AlertQueue(most)
        self.sent = self.messages = self.refused = self.failures = 0
        self.gone = ""
        self._told_dropped = 0
        self._ready_at = 0.0
        self._backoff = 0.0
        self._posts: deque[float] = deque()
        self._refusals: deque[float] = deque()
        self._busy = False
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="discord", daemon=True)
        self._thread.start()

    def send(self, alert: Alert, done: Callable[[], None]) -> None:
        """Queue an alert; never waits. `done` is called when it was sent or given up."""
        if self.gone:
            done()
        else:
            self.queue.put(alert, done)

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits and nothing is on its way."""
        return not len(self.queue) and not self._busy

    def close(self, patience: float) -> bool:
        """Send what waits for at most so many seconds; tell whether everything was sent."""
        until = time.monotonic() + patience
        while not self.is_idle and not self.gone and time.monotonic() < until:
            time.sleep(0.01)
        idle = self.is_idle
        with self.queue.changed:
            self._closing = True
            self.queue.changed.notify_all()
        self._thread.join(0.5)
        return idle

    def _run(self) -> None:
        while True:
            with self.queue.changed:
                while not self._closing and (not len(self.queue) or self._pause() > 0):
                    # Waiting first and taking then: what is worse and came later goes first.
                    self.queue.changed.wait(self._pause() if len(self.queue) else None)
                if self._closing:
                    return
                self._busy = True
            try:
                taken = self.queue.take(how_many, MOST_ALERTS)
                if taken:
                    self._post(taken)
            except Exception as error:
                # Whatever it is, this thread is the only one that can send.
                self._say(f"discord: {type(error).__name__} while a message was made")
                self._wait_longer()
            finally:
                self._busy = False

    def _pause(self) -> float:
        """Return the seconds until the next message may go."""
        now, pace = time.monotonic(), self._pace
        while self._posts and now - self._posts[0] > pace.channel_window:
            self._posts.popleft()
        ready = self._ready_at
        if len(self._posts) >= pace.channel_messages:
            ready = max(ready, self._posts[0] + pace.channel_window)
        return ready - now

    def _post(self, taken: list[Waiting]) -> None:
        lost = self.queue.dropped - self._told_dropped
        note = f"{lost} alerts of lower level were dropped, too many waited" if lost else ""
        body = message([waiting.alert for waiting in taken], note)
        try:
            answer = request(
                "POST", self._url, timeout=self._pace.timeout, body=body, headers=_HEADERS
            )
        except Exception as error:
            self.queue.put_back(taken)
            self._fail(f"no answer ({type(error).__name__})")
            return
        self._posts.append(time.monotonic())
        self._heed(answer)
        if 200 <= answer.status < 300:
            self._told_dropped += lost
            self._backoff = 0.0
            self.messages += 1
            self.sent += len(taken)
            for waiting in taken:
                waiting.done()
        elif answer.status in _GONE:
            self.queue.put_back(taken)
            self._give_up(f"the webhook answers {answer.status}: make a new one in Discord")
        elif answer.status == 429:
            self.queue.put_back(taken)
            self.refused += 1
        elif answer.status == 400:
            self._split(taken)
        else:
            self.queue.put_back(taken)
            self._fail(f"answer {answer.status}")

    def _heed(self, answer: Answer) -> None:
        """Wait as the answer asks, and much longer after too many refusals."""
        now, pace, headers = time.monotonic(), self._pace, answer.headers
        wait = 0.0
        if answer.status == 429:
            wait = max(_seconds(headers.get("retry-after")), _retry_after(answer.body), pace.margin)
        if headers.get("x-ratelimit-remaining") == "0":
            wait = max(wait, _seconds(headers.get("x-ratelimit-reset-after")))
        if wait:
            self._ready_at = max(self._ready_at, now + wait + pace.margin)
        if answer.status in _REFUSED:
            self._refusals.append(now)
            while now - self._refusals[0] > pace.refusal_window:
                self._refusals.popleft()
            if len(self._refusals) >= pace.refusals:
                self._refusals.clear()
                self._ready_at = now + pace.refusal_window
                self._say(
                    f"discord: refused {pace.refusals} times; "
                    f"nothing is sent for {pace.refusal_window:g} s"
                )

    def _fail(self, why: str) -> None:
        self.failures += 1
        if not self._backoff:
            self._say(f"discord: {why}; alerts wait and are sent later")
        self._wait_longer()

    def _wait_longer(self) -> None:
        pace = self._pace
        self._backoff = min(max(self._backoff * 2, pace.backoff_first), pace.backoff_most)
        self._ready_at = max(self._ready_at, time.monotonic() + self._backoff)

    def _split(self, taken: list[Waiting]) -> None:
        """Find the alert that makes a message unacceptable, and give up that one only."""
        if len(taken) == 1:
            self._say(f"discord: does not take the alert {taken[0].alert.key}")
            self.queue.dropped += 1
            taken[0].done()
            return
        for waiting in taken:
            self._post([waiting])
            pause = self._pause()
            if pause > 0:
                time.sleep(pause)

    def _give_up(self, why: str) -> None:
        self.gone = why
        self.queue.clear()
        self._say(f"discord: {why}; it is not used any more")


def _seconds(text: str | None) -> float:
    try:
        value = float(text) if text is not None else 0.0
    except ValueError:
        return 0.0
    return min(max(value, 0.0), 3600.0) if isfinite(value) else 0.0


def _retry_after(body: bytes) -> float:
    try:
        return _seconds(str(json.loads(body)["retry_after"]))
    except (ValueError, KeyError, TypeError):
        return 0.0
