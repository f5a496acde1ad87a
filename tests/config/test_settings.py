"""Layers of settings: which one counts, and what none of them may say."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mia.config import limits as limit_tables
from mia.config.layers import PLAIN_NAMES, flatten, nest
from mia.config.settings import ENV_FILE, LoadedSettings, Settings, known_keys, load_settings
from mia.errors import ConfigError


@pytest.fixture
def load(tmp_path: Path):
    """Load settings from layers given as text, apart from the machine's."""

    def load_layers(
        *assignments: str,
        profile: str | None = None,
        env_file: str = "",
        environ: dict[str, str] | None = None,
    ) -> LoadedSettings:
        name = None
        if profile is not None:
            (tmp_path / "mine.toml").write_text(profile, encoding="utf-8")
            name = str(tmp_path / "mine.toml")
        path = tmp_path / ENV_FILE
        if env_file:
            path.write_text(env_file, encoding="utf-8")
        return load_settings(name, assignments, env_file=path, environ=environ or {})

    return load_layers


def test_without_any_layer_every_value_is_the_default(load) -> None:
    loaded = load()
    assert loaded.settings == Settings()
    assert loaded.origin == {}
    assert loaded.limits == limit_tables.effective_limits("paper", "conservative")


def test_each_layer_hides_the_ones_below_it(load) -> None:
    layers = {
        "profile": "[gate]\nmin_rr = 2.1",
        "env_file": "MIA_GATE__MIN_RR=2.2\n",
        "environ": {"MIA_GATE__MIN_RR": "2.3"},
    }
    for given_layers, value, layer in (
        (("profile",), 2.1, "profile"),
        (("profile", "env_file"), 2.2, ENV_FILE),
        (("profile", "env_file", "environ"), 2.3, "environment"),
    ):
        loaded = load(**{name: layers[name] for name in given_layers})
        assert loaded.settings.gate.min_rr == value
        assert layer in loaded.origin["gate.min_rr"]
    loaded = load("gate.min_rr=2.4", **layers)
    assert loaded.settings.gate.min_rr == 2.4
    assert loaded.origin["gate.min_rr"] == "command line"


@pytest.mark.parametrize("strict", range(4))
def test_the_strictest_limit_counts_in_whichever_layer_it_stands(load, strict: int) -> None:
    values = [290 if k == strict else 400 + k for k in range(4)]
    loaded = load(
        f"limits.daily_loss_usd={values[3]}",
        profile=f"[limits]\ndaily_loss_usd = {values[0]}",
        env_file=f"MIA_LIMITS__DAILY_LOSS_USD={values[1]}\n",
        environ={"MIA_LIMITS__DAILY_LOSS_USD": str(values[2])},
    )
    assert loaded.limits.daily_loss_usd == 290
    names = ("profile", ENV_FILE, "environment", "command line")
    assert names[strict] in loaded.limits.sources["daily_loss_usd"]


def test_a_required_minimum_is_the_largest_of_all_layers(load) -> None:
    loaded = load(
        "limits.min_confidence=0.1",
        profile="[limits]\nmin_confidence = 0.9",
        environ={"MIA_LIMITS__MIN_CONFIDENCE": "0.7"},
    )
    assert loaded.limits.min_confidence == 0.9
    assert "profile" in loaded.limits.sources["min_confidence"]


def test_a_looser_limit_on_the_command_line_loosens_nothing(load) -> None:
    loaded = load(
        "max_daily_loss=100000", "max_position_size=99", environ={"MAX_DAILY_LOSS": "300"}
    )
    assert loaded.limits.daily_loss_usd == 300
    assert loaded.limits.sources["daily_loss_usd"] == "environment, max_daily_loss"
    assert loaded.limits.max_size == 1
    assert loaded.limits.sources["max_size"] == "level conservative"


def test_the_environment_may_name_the_four_plain_variables(load) -> None:
    environ = {
        "TRADING_MODE": "data_collection",
        "RISK_LEVEL": "aggressive",
        "MAX_DAILY_LOSS": "700",
        "MAX_POSITION_SIZE": "1",
    }
    assert set(environ) == set(PLAIN_NAMES)
    loaded = load(environ=environ)
    assert loaded.settings.trading_mode == "data_collection"
    assert loaded.settings.risk_level == "aggressive"
    assert (loaded.limits.daily_loss_usd, loaded.limits.max_size) == (700, 1)


def test_an_empty_variable_is_not_set(load) -> None:
    assert load(environ={"MAX_DAILY_LOSS": "", "MIA_SYMBOL": ""}).origin == {}


def as_text(value: object) -> str:
    """Write a default as a person would, in JSON where it is no plain word."""
    return value if isinstance(value, str) else json.dumps(value)


def test_each_key_can_be_given_in_the_environment_and_as_an_assignment(load) -> None:
    texts = {key: as_text(value) for key, value in known_keys().items()}
    variables = {f"MIA_{key.replace('.', '__').upper()}": text for key, text in texts.items()}
    assert len(variables) == len(texts) > 150
    by_variable = load(environ=variables)
    by_assignment = load(*(f"{key}={text}" for key, text in texts.items()))
    assert by_variable.settings == by_assignment.settings == Settings()
    assert by_variable.origin == dict.fromkeys(texts, "environment")
    assert by_assignment.origin == dict.fromkeys(texts, "command line")


def test_a_group_can_be_given_as_json(load) -> None:
    loaded = load('gate={"min_rr": 2, "end_min": 6}')
    assert (loaded.settings.gate.min_rr, loaded.settings.gate.end_min) == (2, 6)
    with pytest.raises(ConfigError, match="max_size 0"):
        load('limits={"max_size": 0}')


HOOK = "https://discord.com/api/webhooks/1/canary-token"
NAME = "MIA_ALERTS__DISCORD_WEBHOOK"


def test_a_secret_is_read_from_the_environment_and_shown_to_nobody(load) -> None:
    loaded = load(environ={NAME: HOOK})
    assert loaded.secrets == [HOOK, HOOK]
    assert "canary" not in repr(loaded)
    assert "canary" not in str(loaded.settings.model_dump())


@pytest.mark.parametrize(
    "layers",
    [
        {"profile": f'[alerts]\ndiscord_webhook = "{HOOK}"'},
        {"env_file": f"{NAME} {HOOK}"},
        {"env_file": HOOK},
        {"environ": {NAME: f'["{HOOK}"]'}},
        {"environ": {f"{NAME}S": HOOK}},
    ],
)
def test_no_message_shows_a_secret(load, layers) -> None:
    with pytest.raises(ConfigError) as caught:
        load(**layers)
    assert "canary" not in str(caught.value)


def test_a_secret_on_the_command_line_is_refused(load) -> None:
    with pytest.raises(ConfigError, match="has no place in the command line: write MIA_ALERTS__"):
        load(f"alerts.discord_webhook={HOOK}")


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ({"profile": "gate = 1"}, r"'gate' in profile .*mine.toml is a group .* as gate\."),
        ({"profile": "[gate]\nmin_r = 1"}, "'gate.min_r' in profile .*did you mean gate.min_rr"),
        ({"profile": "min_rr = 1"}, r"unknown key 'min_rr' .* did you mean gate\.min_rr"),
        ({"profile": "[limits]\nmax_sise = 1"}, "did you mean limits.max_size"),
        ({"env_file": "MIA_GATE__MIN_R=1"}, f"'MIA_GATE__MIN_R' in .*{ENV_FILE}: did you mean"),
        ({"env_file": "FOO=1"}, f"unknown key 'FOO' in .*{ENV_FILE}"),
        ({"environ": {"MIA_NOTHING": "1"}}, "unknown key 'MIA_NOTHING' in environment"),
        ({"environ": {"MIA_GATE": "1"}}, "unknown key 'MIA_GATE' in environment"),
    ],
)
def test_an_unknown_key_is_an_error_in_each_layer(load, layers, message) -> None:
    with pytest.raises(ConfigError, match=message):
        load(**layers)


@pytest.mark.parametrize("item", ["nothing=1", "gate.nothing=1", "gate.min_rr.more=1", "TRADING=1"])
def test_an_unknown_key_is_an_error_on_the_command_line(load, item: str) -> None:
    with pytest.raises(ConfigError, match=r"unknown key .* in command line"):
        load(item)


def test_other_variables_of_the_environment_are_nobodys_business(load) -> None:
    assert load(environ={"PATH": "/bin", "GATE__MIN_RR": "9", "MIA_DATA": "x"}).origin == {}


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ({"profile": "gate"}, "mine.toml is no TOML file: "),
        ({"profile": "[gate]\nmin_rr = 'two'"}, "gate.min_rr in profile .*valid number.* 'two'"),
        ({"env_file": "MAX_DAILY_LOSS 500"}, f"line 1 of .*{ENV_FILE} is no NAME=value"),
        ({"env_file": "# limits\nMAX_DAILY_LOSS\n"}, "line 2 of .* 'MAX_DAILY_LOSS'"),
        ({"env_file": "MAX_DAILY_LOSS=9\nMAX_DAILY_LOSS=8"}, "gives max_daily_loss twice"),
        ({"env_file": "TRADING_MODE=demo"}, "trading_mode in .* 'demo'"),
        ({"environ": {"MAX_DAILY_LOSS": "much"}}, "max_daily_loss in environment: .* 'much'"),
        ({"environ": {"MAX_DAILY_LOSS": "-1"}}, "max_daily_loss in environment: .* was -1"),
        ({"environ": {"MAX_POSITION_SIZE": "1.5"}}, "max_position_size in environment"),
        (
            {"environ": {"MAX_DAILY_LOSS": "9", "MIA_MAX_DAILY_LOSS": "8"}},
            "environment gives max_daily_loss twice, again as MIA_MAX_DAILY_LOSS",
        ),
    ],
)
def test_what_cannot_be_understood_is_named_with_its_layer(load, layers, message) -> None:
    with pytest.raises(ConfigError, match=message):
        load(**layers)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ("gate.min_rr", "--set takes key=value"),
        ("=1", "--set takes key=value"),
        ("gate.min_rr=0", "gate.min_rr in command line: .* was 0"),
        ("gate.min_rr=Infinity", "finite"),
        ("gate.min_rr=NaN", "finite"),
        ("gate.min_rr=inf", "finite"),
        ("gate.min_rr=", "valid number"),
        ("gate.min_rr=true", "takes no yes or no"),
        ("gate.max_spread=1.5", "valid integer"),
        ("symbol=GC", "symbol in command line"),
        ("stream.primary=time:7", r"width must divide 86400 seconds, was 'time:7'$"),
        ("mtf.frames_min=[1,2]", r"four ascending widths .* was \(1, 2\)$"),
        ("demo.start=tomorrow", "expected a date as 2025-03-10, was 'tomorrow'$"),
        ("demo.trades_per_day=1", "demo.trades_per_day"),
        ("limits.per_trade_usd=-1", "command line gives -1"),
        ("limits.min_confluence=2", "min_confluence is a fraction"),
    ],
)
def test_a_bad_value_on_the_command_line_is_named(load, item: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(item)


def test_a_key_given_twice_on_the_command_line_is_refused(load) -> None:
    with pytest.raises(ConfigError, match=r"gate\.min_rr twice"):
        load("gate.min_rr=2", 'gate={"min_rr": 3}')


def test_a_bad_value_is_found_under_a_good_one_of_a_higher_layer(load) -> None:
    with pytest.raises(ConfigError, match="max_daily_loss in profile"):
        load("max_daily_loss=500", profile="max_daily_loss = 'much'")


@pytest.mark.parametrize(
    ("items", "message"),
    [
        (["limits.daily_loss_usd=50"], r"per_trade_usd 200 \(mode paper\) exceeds .* 50 \(command"),
        (["limits.start_minute=1000"], r"start_minute 1000 \(command line\) .* end_minute 945"),
        (["limits.trades_per_day=0"], r"trades_per_day 0 \(command line\) allows no trade"),
    ],
)
def test_limits_that_contradict_each_other_are_refused(load, items, message) -> None:
    with pytest.raises(ConfigError, match=message):
        load(*items)


def test_the_env_file_may_have_a_byte_order_mark_windows_lines_exports_and_quotes(load) -> None:
    loaded = load(env_file='\ufeffMAX_DAILY_LOSS=500\r\nexport RISK_LEVEL="moderate" # bolder\r\n')
    assert loaded.limits.daily_loss_usd == 500
    assert loaded.settings.risk_level == "moderate"


def test_an_env_file_that_is_a_folder_or_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        load_settings(env_file=tmp_path, environ={})
    path = tmp_path / ENV_FILE
    path.write_bytes(b"MAX_DAILY_LOSS=\xff\n")
    with pytest.raises(ConfigError, match="no text in UTF-8"):
        load_settings(env_file=path, environ={})


@pytest.mark.parametrize("name", ["demo", "paper", "production"])
def test_the_shipped_profiles_are_valid_and_never_live(name: str, tmp_path: Path) -> None:
    loaded = load_settings(name, env_file=tmp_path / "none", environ={})
    assert loaded.profile == name
    assert loaded.settings.trading_mode == "paper"
    assert set(loaded.origin.values()) == {f"profile {name}"}


def test_a_profile_that_does_not_exist_is_named_with_those_that_do(tmp_path: Path) -> None:
    for name in ("nothing", str(tmp_path / "nothing.toml"), str(tmp_path)):
        with pytest.raises(ConfigError, match=r"no profile .* demo, paper, production"):
            load_settings(name, env_file=tmp_path / "none", environ={})


def test_a_path_wins_over_a_shipped_profile_of_the_same_name(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("demo").write_text("risk_level = 'moderate'")
    assert load_settings("demo", environ={}).settings.risk_level == "moderate"


def test_the_environment_of_the_process_is_the_default(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MIA_GATE__MIN_RR", "2.5")
    Path(ENV_FILE).write_text("MIA_GATE__END_MIN=7\n")
    settings = load_settings().settings
    assert (settings.gate.min_rr, settings.gate.end_min) == (2.5, 7)


@given(st.dictionaries(st.sampled_from(sorted(known_keys())), st.integers() | st.text()))
def test_flattening_and_nesting_are_inverse(flat) -> None:
    assert flatten(nest(flat)) == flat
