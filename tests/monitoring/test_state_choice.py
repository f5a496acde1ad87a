"""Which directory a screen looks at: the named one, the account's, the variable's, the demo's."""

from pathlib import Path

import pytest

from mia.config.settings import load_settings
from mia.errors import UsageError
from mia.monitoring.state_choice import DEMO_STATE, chosen_state

HERE = Path("here")


@pytest.fixture(autouse=True)
def _no_variable(monkeypatch) -> None:
    monkeypatch.delenv("MIA_STATE_DIR", raising=False)


def test_what_is_named_goes_first_then_the_account_then_the_variable(monkeypatch) -> None:
    account = load_settings("paper", ["ibkr.account=DU1", "live.state_dir=states"], environ={})
    nobody = load_settings("paper", [], environ={})
    monkeypatch.setenv("MIA_STATE_DIR", "elsewhere")
    assert chosen_state(account, HERE) == HERE
    assert chosen_state(account, None) == Path("states/DU1")
    assert chosen_state(nobody, None) == Path("elsewhere")


def test_the_demo_needs_no_name_and_others_do() -> None:
    assert chosen_state(load_settings("demo", [], environ={}), None) == DEMO_STATE
    with pytest.raises(UsageError, match="which trader"):
        chosen_state(load_settings("paper", [], environ={}), None)
