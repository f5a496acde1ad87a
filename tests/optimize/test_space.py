import pytest

from mia.errors import ConfigError
from mia.optimize.space import Parameter, check_space, read_space
from mia.optimize.variant import Base


def space(folder, text):
    path = folder / "space.toml"
    path.write_text(text, encoding="utf-8")
    return read_space(path)


def checked(folder, text, *given):
    base = Base(None, given, 0)
    check_space(space(folder, text), base.load, base.effect)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[trend]\ntarget = {low = 1.0, high = 2.0}", "target"),
        ("[trends]\ntarget_r = {low = 1.0, high = 2.0}", "trends"),
        ("[trend]\ntarget_r = 2.0", "one value"),
        ("[trend]\ntarget_r = {low = 1.0, hi = 2.0}", "unknown hi"),
        ("[trend]\ntarget_r = {low = 1.0}", "numbers for low and high"),
        ("[trend]\ntarget_r = {low = 3.0, high = 2.0}", "below high"),
        ("[trend]\ntarget_r = {low = 1.0, high = 2.0, step = 2.0}", "step"),
        ("[trend]\ntarget_r = {low = 0.0, high = 2.0, log = true}", "log needs"),
        ("[trend]\ntarget_r = {low = true, high = 2.0}", "numbers"),
        ("[trend]\ntarget_r = {choices = [1.0]}", "two values"),
        ("[trend]\ntarget_r = {choices = [1.0, 1.0]}", "twice"),
        ("[cost]\nes_side = {low = 0.0, high = 2.0}", "lowest"),
        ("[fill]\nlimit = {choices = ['through', 'queue']}", "kindest"),
        ("[account]\nstart_equity = {low = 1.0, high = 2.0}", "no choice"),
        ("[limits]\nmax_size = {low = 1, high = 9}", "only parameters of the method"),
        ("[live]\nreentries = {low = 1, high = 9}", "only parameters of the method"),
        ("", "names no setting"),
        ("[trend", "no TOML"),
    ],
)
def test_what_may_not_be_searched_is_refused_by_name(tmp_path, text, told):
    with pytest.raises(ConfigError, match=told):
        space(tmp_path, text)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.toml"):
        read_space(tmp_path / "none.toml")


def test_an_extreme_that_the_settings_refuse_is_found_before_anything_runs(tmp_path):
    with pytest.raises(ConfigError, match=r"trend\.retr_max"):
        checked(tmp_path, "[trend]\nretr_max = {low = 0.5, high = 1.5}")


def test_a_parameter_that_the_limits_override_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"bn\.score_threshold has no effect"):
        checked(tmp_path, "[bn]\nscore_threshold = {low = 0.2, high = 0.8}")


def test_a_threshold_can_be_tightened_and_not_loosened(tmp_path):
    checked(tmp_path, "[limits]\nmin_confluence = {low = 0.4, high = 0.8}")
    with pytest.raises(ConfigError, match="no effect"):
        checked(tmp_path, "[limits]\nmin_confluence = {low = 0.1, high = 0.2}")


def test_a_setting_given_twice_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="twice"):
        checked(tmp_path, "[trend]\ntarget_r = {low = 1.0, high = 2.0}", "trend.target_r=2")


def test_values_keep_to_bounds_steps_and_kinds():
    places = [k / 1000 for k in range(1000)]
    whole = Parameter("trend.leg_bars", 10.0, 40.0, 10.0, integer=True)
    assert {whole.at(x) for x in places} == {10, 20, 30, 40}
    assert all(isinstance(whole.at(x), int) for x in places)
    stepped = Parameter("trend.target_r", 1.5, 2.1, 0.3)
    assert sorted({stepped.at(x) for x in places}) == [1.5, 1.8, 2.1]
    even = Parameter("reg.slope_full", 0.01, 1.0, log=True)
    drawn = [even.at(x) for x in places]
    assert 0.01 <= min(drawn) < 0.011
    assert 0.9 < max(drawn) <= 1.0
    assert sum(value < 0.1 for value in drawn) == pytest.approx(500, abs=5)
    choice = Parameter("x", 0.0, 1.0, choices=([1, 2], [3, 4]))
    assert [choice.at(0.1), choice.at(0.9)] == [[1, 2], [3, 4]]
    for parameter in (whole, stepped, even, choice):
        assert parameter.place(parameter.extremes()[0]) == pytest.approx(0.0)
        assert parameter.place(parameter.extremes()[-1]) == pytest.approx(1.0)
