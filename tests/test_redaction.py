import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import typer

from mia.command_line import run_app
from mia.errors import RiskHalt
from mia.redaction import Redactor, secrets_of

REDACT = Redactor(["s3cr3t-value"])


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("post to https://discord.com/api/webhooks/123/aB-c_d failed", "aB-c_d"),
        ("https://ptb.discord.com/api/v10/webhooks/123/aB-c_d?wait=true", "aB-c_d"),
        ("tgram://123456789:abcdef@chat", "abcdef"),
        ("https://user:pass-word@host/x", "pass-word"),
        ("token=abcd1234", "abcd1234"),
        ('{"api_key": "abcd1234"}', "abcd1234"),
        ("password: hunter2 ", "hunter2"),
        ("Authorization: Bearer abcd1234efgh", "abcd1234efgh"),
        ("the value s3cr3t-value is known", "s3cr3t-value"),
        ("account DU1234567 and U7654321", "1234567"),
        ("account DU1234567 and U7654321", "7654321"),
    ],
)
def test_a_secret_is_covered(text: str, secret: str) -> None:
    assert secret not in REDACT(text)


def test_an_account_keeps_its_kind_and_its_last_digits() -> None:
    assert REDACT("U7654321") == "U***4321"
    assert REDACT("DU1234567 is paper") == "DU***4567 is paper"


@pytest.mark.parametrize(
    "text",
    [
        "2 ESM25 at 5891.25, F12 and U25, key link:orders, 12:30:05",
        "HALT_ENTRIES: DATA_STALE (https://example.org/page?id=5)",
        "TRADE_20250310_143000_00000001: sell 2 at the market",
    ],
)
def test_ordinary_words_stay(text: str) -> None:
    assert REDACT(text) == text


def test_names_of_variables_tell_which_values_are_secret() -> None:
    environment = {"MIA_ALERTS__DISCORD_WEBHOOK": "a", "GITHUB_TOKEN": "b", "HOME": "c"}
    assert secrets_of(environment) == ["a", "b"]


def test_the_one_line_that_ends_a_command_shows_no_secret(capsys, monkeypatch) -> None:
    monkeypatch.setenv("BROKER_PASSWORD", "canary-0815")
    app = typer.Typer()

    @app.command()
    def fail() -> None:
        raise RiskHalt("trading stopped: cannot log in with canary-0815 as U7654321")

    monkeypatch.setattr("sys.argv", ["mia"])
    with restored_signals(), pytest.raises(SystemExit) as caught:
        run_app(app, "mia")
    assert caught.value.code == 6
    assert capsys.readouterr().err == ("mia: trading stopped: cannot log in with *** as U***4321\n")


@contextmanager
def restored_signals() -> Iterator[None]:
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]
    hook = sys.unraisablehook
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
        sys.unraisablehook = hook


def test_a_short_secret_does_not_cover_ordinary_words() -> None:
    assert Redactor(["no"])("nothing is known") == "nothing is known"
