"""Numbers and panels of the terminal screen."""

import random
import statistics

import msgspec
import pytest
from frame_cases import LAST, book, frame, held, signal, story
from rich.text import Text

from mia.core.base_types import FEATURE_NAMES
from mia.core.frame import Feed, Frame, Gate, Links, Stage
from mia.monitoring.dashboard.sight import Life
from mia.monitoring.terminal import panels, words
from mia.monitoring.terminal.look import Look

NARROW = {"position": 2, "day": 2, "links": 2, "battle": 2, "signal": 2, "features": 6, "stages": 2}


def seen(shown: Frame | None, trouble: str = "") -> Look:
    return Look(Life.RUNNING, shown, trouble, [])


@pytest.mark.parametrize("share", [0.01, 0.5, 0.9, 0.99, 1.0])
def test_a_quantile_of_powers_of_two_is_near_that_of_the_times(share: float) -> None:
    chance = random.Random(7)
    times = sorted(round(2 ** chance.gauss(17, 2)) for _ in range(5000))
    counts = [0] * 40
    for taken in times:
        counts[taken.bit_length() - 1] += 1
    exact = times[min(len(times) - 1, int(share * len(times)))]
    told = words.quantile(counts, share)
    assert told is not None
    assert told == pytest.approx(exact, rel=0.5 if share == 1.0 else 0.12)


def test_a_quantile_of_nothing_is_unknown() -> None:
    assert words.quantile([0] * 40, 0.5) is None
    assert words.quantile([], 0.5) is None


def test_one_time_lies_within_its_power_of_two() -> None:
    counts = [0] * 40
    counts[10] = 1
    for share in (0.01, 0.5, 1.0):
        told = words.quantile(counts, share)
        assert told is not None
        assert 2**10 <= told <= 2**11


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (None, "-"),
        (1, "1 ns"),
        (999, "999 ns"),
        (999.7, "1 us"),
        (1500, "1.5 us"),
        (185_363, "185 us"),
        (1_049_000, "1.05 ms"),
        (2.5e9, "2.5 s"),
        (75e9, "75 s"),
    ],
)
def test_a_latency_has_the_unit_that_suits_it(ns: float | None, text: str) -> None:
    assert words.latency(ns) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (59.94, "59.9 s"), (61, "1 min 1 s"), (7322, "2 h 2 min"), (4e5, "4 days")],
)
def test_a_span_is_told_as_a_person_would(seconds: float, text: str) -> None:
    assert words.span(seconds) == text


def test_the_clock_is_that_of_new_york() -> None:
    assert words.clock(1_770_652_800 * 10**9) == "11:00:00"  # 16:00 UTC in winter
    assert words.clock(1_783_958_400 * 10**9) == "12:00:00"  # 16:00 UTC in summer
    assert words.clock(None) == words.clock(0) == "-"


def test_a_bar_is_as_wide_as_it_is_told_and_as_full_as_its_share() -> None:
    assert words.bar(0.5, 4) == "██  "
    assert words.bar(0.0, 4) == words.bar(-1.0, 4) == "    "
    assert words.bar(1.0, 4) == words.bar(7.0, 4) == "████"
    for k in range(41):
        assert len(words.bar(k / 40, 10)) == 10
    filled = [words.bar(k / 40, 10) for k in range(41)]
    assert [text.count("█") for text in filled] == [k // 4 for k in range(41)]
    assert len(set(filled)) == 41


@pytest.mark.parametrize("shown", [*story(12), frame()])
def test_every_panel_fits_into_80_columns_and_its_lines(shown: Frame) -> None:
    for name, tell in panels.FRAME_PANELS.items():
        if name not in NARROW:
            continue
        lines = tell(shown, False).plain.splitlines()
        assert len(lines) <= NARROW[name], name
        assert max(map(len, lines)) <= 80, (name, lines)
    assert len(panels.header(seen(shown), False).plain) <= 80


def test_extremes_still_fit() -> None:
    shown = frame(
        state="HALT_ENTRIES",
        ready=False,
        dry_run=True,
        day=msgspec.structs.replace(
            frame().day,
            realized_pnl=-12_345.5,
            worst_pnl=-13_000.25,
            loss_limit=12_500.0,
            trades=48,
        ),
        held=held(LAST - 900, quantity=-20, wanted=20, symbol="MES", bars_held=412),
        feed=Feed("iqfeed", 1_770_652_800 * 10**9, 12.4, "", 98_765_432, 12_345, 12),
        links=Links("DISCONNECTED", "DISCONNECTED", 1_770_652_800 * 10**9, 12, 34),
    )
    for name in ("position", "day"):
        for line in panels.FRAME_PANELS[name](shown, False).plain.splitlines():
            assert len(line) <= 80, line


def test_a_long_position_tells_price_profit_stop_and_target() -> None:
    text = panels.position(frame(), False).plain
    assert "long 2 MES at 6900.00, now 6901.50  +15.00 USD" in text
    assert "stop 6896.00  target 6908.50  protected" in text


def test_a_position_without_a_known_stop_is_cried_out() -> None:
    shown = frame(held=held(protected=False))
    assert "NOT PROTECTED" in panels.position(shown, False).plain
    assert "NO STOP THAT IS KNOWN TO WORK" in panels.notice(seen(shown), False).plain


def test_an_entry_that_works_is_no_position() -> None:
    waiting = held(quantity=0, entry=None, protected=False, opened_at=None, open_pnl=0.0)
    shown = frame(held=waiting)
    text = panels.position(shown, False).plain
    assert "entry works: long 2 MES" in text
    assert "nothing filled yet" in text
    assert "NO STOP" not in panels.notice(seen(shown), False).plain


def test_the_days_bar_measures_the_worst_case_against_the_limit() -> None:
    shown = frame(day=msgspec.structs.replace(frame().day, worst_pnl=-400.0))
    text = panels.day(shown, False).plain
    assert "[████████            ] 40% of 1,000; with stops hit -400.00" in text


@pytest.mark.parametrize("worst", [0.0, -0.0, 250.0])
def test_a_day_without_a_loss_uses_nothing_of_the_limit(worst: float) -> None:
    shown = frame(day=msgspec.structs.replace(frame().day, worst_pnl=worst))
    assert "[                    ] 0% of 1,000" in panels.day(shown, False).plain


def test_a_refused_signal_names_the_gate_its_value_and_its_limit() -> None:
    text = panels.signal(frame(), False).plain
    assert "long TREND T1  REFUSED by CONFLUENCE: 0.41, limit 0.50" in text


def test_a_gate_that_knows_nothing_says_so() -> None:
    unknown = signal(reason="SPREAD", gates=[Gate("SPREAD", None, 2.0, False, False)])
    assert (
        "REFUSED by SPREAD: unknown, limit 2" in panels.signal(frame(signal=unknown), False).plain
    )


def test_an_accepted_signal_says_how_much() -> None:
    assert "ACCEPTED, 2 contracts" in panels.signal(frame(signal=signal(reason="OK")), False).plain


@pytest.mark.parametrize("wide", [False, True])
def test_all_18_features_are_named_with_their_values(wide: bool) -> None:
    shown = frame()
    assert shown.signal is not None
    text = panels.features(shown, wide).plain
    for name, value in zip(FEATURE_NAMES, shown.signal.features, strict=True):
        told = text.split(name, 1)[1].split()[0]
        assert told == ("-" if value is None else f"{value:+.2f}")


def test_what_holds_the_state_up_is_named() -> None:
    shown = frame(state="HALT_TRADING", state_reasons=["DAILY_LOSS", "COMMAND_FLATTEN"])
    assert "held by DAILY_LOSS, COMMAND_FLATTEN" in panels.notice(seen(shown), False).plain


def test_the_mode_is_told_in_words_and_in_colour() -> None:
    live = panels.header(seen(frame(mode="live", simulated=False)), False)
    paper = panels.header(seen(frame()), False)
    assert live.plain.startswith(" LIVE ")
    assert paper.plain.startswith(" PAPER ")
    assert "red" in str(live.spans[0].style)
    assert "green" in str(paper.spans[0].style)


def test_what_is_old_does_not_look_ready() -> None:
    text = panels.header(seen(frame(), "STALE: ..."), False).plain
    assert "READY" not in text
    assert "was NORMAL" in text


def test_levels_are_listed_from_the_top_with_their_distance() -> None:
    lines = panels.levels(frame(), True).plain.splitlines()[1:]
    prices = [float(line[13:22]) for line in lines]
    assert prices == sorted(prices, reverse=True)
    assert lines[0].split() == ["call", "wall", "6950.00", "-48.50"]


def test_the_ladder_has_asks_above_bids() -> None:
    rows = panels.book(frame(book=book(LAST)), True).plain.splitlines()[1:]
    prices = [float(row.split()[0]) for row in rows]
    assert prices == sorted(prices, reverse=True)
    assert len(prices) == 10


def test_latencies_are_those_of_the_stages() -> None:
    counts = [0] * 40
    counts[20] = 99
    counts[30] = 1
    shown = frame(stages={"data": Stage(counts, 1)})
    half, most = words.quantile(counts, 0.5), words.quantile(counts, 0.99)
    assert half is not None
    assert most is not None
    text = panels.stages(shown, False).plain
    assert f"data {words.latency(half)}/{words.latency(most)}" in text
    assert statistics.fmean([half, most]) < 2**21


def test_panels_say_the_same_without_colours() -> None:
    for tell in panels.FRAME_PANELS.values():
        text = tell(frame(), True)
        assert isinstance(text, Text)
        assert text.plain.strip()
