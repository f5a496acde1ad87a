import pytest

from mia.config.arming import require_armed
from mia.errors import ConfigError

LIMITS = {"MAX_DAILY_LOSS": 500.0, "MAX_POSITION_SIZE": 1}


@pytest.fixture
def locks(tmp_path):
    token = tmp_path / "arm"
    token.write_text("20251118\n")
    return {
        "live_flag": True,
        "mode": "live",
        "account": "U1234567",
        "environment": LIMITS,
        "token": token,
        "today": 20251118,
    }


def test_all_five_locks_open_let_through(locks) -> None:
    require_armed(**locks)


@pytest.mark.parametrize(
    ("closed", "message"),
    [
        ({"live_flag": False}, "locked: give --live$"),
        ({"mode": "paper"}, r"locked: set TRADING_MODE=live \(it is paper\)$"),
        ({"account": ""}, "locked: name the account id$"),
        ({"environment": {"MAX_DAILY_LOSS": 500.0}}, "locked: set MAX_POSITION_SIZE$"),
        ({"environment": {}}, "locked: set MAX_DAILY_LOSS and MAX_POSITION_SIZE$"),
        ({"today": 20251119}, "locked: write 20251119 into .*arm$"),
    ],
)
def test_each_lock_alone_keeps_live_trading_out(locks, closed, message) -> None:
    with pytest.raises(ConfigError, match=message):
        require_armed(**locks | closed)


def test_a_missing_or_foreign_token_arms_nothing(locks, tmp_path) -> None:
    foreign = tmp_path / "foreign"
    foreign.write_bytes(b"\xff\xfe")
    for token in (tmp_path / "none", foreign, tmp_path):
        with pytest.raises(ConfigError, match="locked: write 20251118"):
            require_armed(**locks | {"token": token})


def test_every_closed_lock_is_named_at_once(locks) -> None:
    with pytest.raises(ConfigError, match=r"give --live; .* name the account id"):
        require_armed(**locks | {"live_flag": False, "mode": "paper", "account": None})
