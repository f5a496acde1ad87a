"""The command line: what it prints, what it leaves behind, and how it says no."""

import errno
import json
import os
import pty
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq
import pytest
import typer

import mia
from mia import interrupts
from mia.cli.app import app
from mia.command_line import progress_bar, run_app
from mia.data.synthetic.export import export_market

ROOT = Path(mia.__file__).parent.parent
THIN = ("--trades-per-day", "20000")
SYNTHETIC = ("--synthetic", "--days", "1", *THIN)
SUMMARY_KEYS = {
    "trades", "win_rate", "expectancy_r", "net_pnl_usd", "costs_usd", "sharpe", "sortino",
    "max_drawdown_usd", "rejections", "configuration_sha256", "data_sha256", "seconds",
}  # fmt: skip


class Done(NamedTuple):
    code: object
    out: str
    err: str


Runner = Callable[..., Done]


@pytest.fixture(autouse=True)
def _own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run in an empty folder, without the settings of the machine, and restore signals."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TERM", "dumb")
    for name in [name for name in os.environ if name.startswith("MIA_")]:
        monkeypatch.delenv(name)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Runner:
    """Run ``mia`` with arguments inside this process."""

    def run_mia(*argv: str | Path) -> Done:
        monkeypatch.setattr(sys, "argv", ["mia", *map(str, argv)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            run_app(app, "mia")
        return Done(left.value.code, *capsys.readouterr())

    return run_mia


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli") / "store"
    plan = {"seed": 3, "start": 20250310, "days": 2, "trades_per_day": 20_000}
    list(export_market(folder, **plan, scid=True, csv=True))
    return folder


def commands() -> list[list[str]]:
    """List every command with its groups."""
    found = [[command.callback.__name__] for command in app.registered_commands]
    for group in app.registered_groups:
        members = group.typer_instance.registered_commands
        found += [[group.name, command.name or command.callback.__name__] for command in members]
    return found


def process(*argv: str, **options: object) -> subprocess.CompletedProcess[str]:
    environ = {k: v for k, v in os.environ.items() if not k.startswith("MIA_")}
    environ |= {"PYTHONPATH": str(ROOT)} | options.pop("env", {})
    return subprocess.run(
        [sys.executable, *argv], env=environ, capture_output=True, text=True, check=False, **options
    )


def refused(done: Done, code: int, *words: str) -> None:
    """Check that a command said no in one line, and why."""
    assert done.code == code, done
    assert done.out == ""
    assert done.err.count("\n") == 1, done.err
    assert done.err.startswith("mia: ")
    assert "Traceback" not in done.err
    for word in words:
        assert word in done.err


def test_there_are_the_commands_that_the_page_speaks_of() -> None:
    assert sorted(" ".join(command) for command in commands()) == [
        "backtest",
        "backup list",
        "backup restore",
        "backup run",
        "backup verify",
        "calendar import",
        "config show",
        "dashboard",
        "data collect",
        "data import",
        "data info",
        "data sides",
        "data synth",
        "doctor",
        "gateway",
        "health",
        "kill",
        "metrics",
        "ml promote",
        "ml report",
        "ml rollback",
        "ml status",
        "ml train",
        "monitor",
        "optimize",
        "options import",
        "options levels",
        "options show",
        "replay",
        "report compare",
        "report day",
        "report show",
        "snapshots list",
        "snapshots query",
        "snapshots show",
        "trade",
        "watch",
    ]


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_every_command_has_help_with_an_example_of_itself(run: Runner, command: list[str]) -> None:
    done = run(*command, "--help")
    assert done.code == 0
    assert done.err == ""
    assert f"Example: mia {' '.join(command)}" in " ".join(done.out.split())


def test_the_version_is_that_of_the_package(run: Runner) -> None:
    assert run("--version") == (0, f"mia {mia.__version__}\n", "")


def test_the_help_lists_the_exit_codes(run: Runner) -> None:
    text = " ".join(run("--help").out.split())
    for code in ("2 usage", "3 configuration", "5 data missing", "130 interrupted"):
        assert code in text


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["nothing"], ["'nothing'", "`mia --help`"]),
        (["backtest", "--bogus"], ["--bogus", "`mia backtest --help`"]),
        (["backtest", "--days", "0"], ["--days", "`mia backtest --help`"]),
        (["backtest", "--days", "many"], ["--days"]),
        (["backtest", "more"], ["more"]),
        (["backtest", "--from", "yesterday"], ["--from", "'yesterday'", "2024-03-28"]),
        (["backtest", "--from", "2025-02-30"], ["2025-02-30"]),
        (["backtest", "--from", "2025-03-12", "--to", "2025-03-11"], ["the range is empty"]),
        (["backtest", "--data", "x", "--synthetic"], ["exclude each other"]),
        (["backtest", "--null"], ["--null", "--synthetic"]),
        (["backtest", "--synthetic", "--symbol", "NQ"], ["synthetic market has ES only"]),
        (["backtest", "--synthetic", "--width", "60"], ["--width"]),
        (["backtest", "--synthetic", "--trades-per-day", "5"], ["--trades-per-day"]),
        (["backtest", *SYNTHETIC, "--from", "2025-03-15", "--to", "2025-03-16"], ["no session"]),
        (["data", "import", "--out", "x"], ["files", "`mia data import --help`"]),
        (["data", "import", "x", "--out", "y", "--vix", "--vix3m"], ["exclude each other"]),
        (["data", "import", "x", "--out", "y", "--price-scale", "0"], ["--price-scale"]),
        (["data", "synth", "--days", "0", "--out", "y"], ["--days"]),
        (["calendar", "import", "x", "--out", "y", "--from", "2024-01-01"], ["both"]),
        (["calendar", "import", "x", "--out", "y", "--impact", "huge"], ["low, medium, high"]),
    ],
)
def test_wrong_usage_is_told_in_one_line(run, tmp_path, argv, words) -> None:
    refused(run(*argv), 2, *words)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["backtest", "--synthetic", "--set", "gate.min_r=2"], ["did you mean gate.min_rr?"]),
        (["backtest", "--synthetic", "--set", "gate.min_rr"], ["key=value"]),
        (["backtest", "--synthetic", "--config", "nothing"], ["demo, paper, production"]),
        (["backtest", "--synthetic", "--set", "limits.daily_loss_usd=50"], ["exceeds"]),
        (["backtest", "--data", "x", "--symbol", "GC"], ["'GC'", "ES, MES, NQ"]),
        (["backtest", "--data", "x", "--symbol", ""], ["unknown symbol ''"]),
        (["backtest", "--data", "x", "--symbol", "ESQ25"], ["'ESQ25'", "ESU19"]),
        (["replay", "--synthetic", "--set", "nothing=1"], ["unknown key 'nothing'"]),
        (["config", "show", "--set", "limits.max_size=0"], ["max_size 0"]),
        (["data", "import", "x", "--out", "y", "--symbol", "GC"], ["'GC'"]),
        (["data", "import", "x", "--out", "y", "--time-zone", "Mars"], ["'Mars'"]),
    ],
)
def test_wrong_configuration_is_told_in_one_line(run, tmp_path, argv, words) -> None:
    refused(run(*argv), 3, *words)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["backtest", "replay"])
def test_without_data_the_synthetic_market_is_offered(run, tmp_path, command: str) -> None:
    refused(run(command), 5, "no market data", "--data", "--synthetic")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("gone.scid", None, ["gone.scid does not exist"]),
        ("ESH25.scid", b"", ["ESH25.scid is empty"]),
        ("ESH25.scid", b"SCID" + b"\x38\0\0\0", ["ESH25.scid", "header"]),
        ("ESH25.scid", b"SCID" + bytes(range(256)) * 9, ["ESH25.scid", "header"]),
        ("notes.txt", b"dear diary\n", ["notes.txt", "no format known here"]),
        ("ES.parquet", b"PAR1nothing", ["ES.parquet"]),
        ("ES.json", b'{"a": 1}', ["ES.json"]),
        ("bars.csv", b"time,open\n1,2\n", ["bars.csv"]),
        ("ESH25.csv", b"ts_event,price,size\nx,y,z\n", ["ESH25.csv", "could be parsed"]),
    ],
)
@pytest.mark.parametrize(
    "command", [["backtest", "--data"], ["replay", "--data"], ["data", "import", "--out", "s"]]
)
def test_files_that_cannot_be_read_are_named(run, tmp_path, command, name, content, words) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    if content is not None:
        (folder / name).write_bytes(content)
    done = run(*command, folder / name)
    if command[0] == "data" and content is None:
        words = ["no such file", name]
    refused(done, 5, *words)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_a_truncated_scid_is_read_up_to_its_last_whole_record(run, exported, tmp_path) -> None:
    path = tmp_path / "ESH25.scid"
    path.write_bytes((exported / "ESH25-CME.scid").read_bytes()[: 56 + 40 * 3000 + 17])
    done = run("backtest", "--data", path, "--json", "--out", "o")
    assert done.code == 0
    assert "the last 17 bytes are part of a record" in done.err
    assert json.loads(done.out)["ticks"] == 3000


@pytest.mark.parametrize("manifest", ["{", "[]", '{"version": 1}', "null"])
def test_a_damaged_store_is_named(run, tmp_path, manifest: str) -> None:
    store = tmp_path / "store"
    store.mkdir()
    refused(run("data", "info", store), 5, "is no store")
    (store / "manifest.json").write_text(manifest)
    for command in (["backtest", "--data"], ["data", "info"]):
        refused(run(*command, store), 5, "manifest.json")


def test_a_damaged_day_is_named(run, exported, tmp_path) -> None:
    store = shutil.copytree(exported, tmp_path / "store")
    day = next(store.rglob("date=2025-03-11.parquet"))
    day.write_bytes(day.read_bytes()[:500])
    refused(run("backtest", "--data", store, "--out", "o"), 5, "date=2025-03-11.parquet")
    day.unlink()
    refused(run("backtest", "--data", store, "--out", "o"), 5, "has lost ESH25 on 20250311")
    assert "lost: ticks of ESH25 on 2025-03-11" in run("data", "info", store).out
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize("name", ["vix.parquet", "calendar.parquet"])
def test_damaged_companions_of_a_store_are_named(run, exported, tmp_path, name: str) -> None:
    store = shutil.copytree(exported, tmp_path / "store")
    shutil.copy(next(store.rglob("date=*.parquet")), store / name)
    refused(run("backtest", "--data", store, "--out", "o"), 5, name)
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize("place", ["file", "/proc"])
@pytest.mark.parametrize(
    "command",
    [
        ["backtest", *SYNTHETIC, "--out", "{}/below"],
        ["backtest", *SYNTHETIC, "--out", "o", "--export-features", "{}/features.parquet"],
        ["replay", *SYNTHETIC, "--out", "{}/features.parquet"],
        ["data", "synth", "--days", "1", *THIN, "--out", "{}/below"],
    ],
    ids=["backtest", "features", "replay", "synth"],
)
def test_a_place_that_cannot_be_written_is_named(run, tmp_path, command, place) -> None:
    (tmp_path / "file").write_text("kept")
    refused(run(*(word.format(place) for word in command)), 5, f"cannot write {place}")
    assert (tmp_path / "file").read_text() == "kept"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("command", [["backtest", *SYNTHETIC], ["data", "synth"]])
def test_a_file_where_a_folder_is_wanted_is_named(run, tmp_path, command) -> None:
    (tmp_path / "file").write_text("kept")
    refused(run(*command, "--out", "file"), 5, "file")
    assert (tmp_path / "file").read_text() == "kept"


def test_a_features_file_that_is_a_folder_is_refused_before_the_run(run, tmp_path) -> None:
    (tmp_path / "folder").mkdir()
    refused(run("replay", *SYNTHETIC, "--out", "folder"), 5, "folder: it is a folder")


def test_when_the_disk_is_full_the_earlier_results_stay(run, tmp_path, monkeypatch) -> None:
    assert run("backtest", *SYNTHETIC, "--out", "o").code == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "o").iterdir()}

    write = pq.write_table
    calls: list[object] = []

    def full(*args: object, **options: object) -> None:
        calls.append(args)
        if len(calls) == 5:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(*args, **options)

    monkeypatch.setattr("mia.performance.results.pq.write_table", full)
    done = run("backtest", *SYNTHETIC, "--seed", "2", "--out", "o")
    refused(done, 5, "cannot write o/equity.parquet: No space left on device", "make room")
    assert {path.name: path.read_bytes() for path in (tmp_path / "o").iterdir()} == before


def test_a_backtest_leaves_its_files_and_says_where(run, tmp_path) -> None:
    done = run("backtest", *SYNTHETIC, "--out", "o", "--export-features", "o/features.parquet")
    assert done.code == 0
    assert done.err == ""
    assert "report: o/report.html" in done.out
    names = {"trades", "decisions", "fills", "sessions", "candles", "equity", "features"}
    expected = {f"{name}.parquet" for name in names} | {"summary.json", "report.html"}
    assert {path.name for path in (tmp_path / "o").iterdir()} == expected
    summary = json.loads((tmp_path / "o" / "summary.json").read_text())
    assert set(summary) >= SUMMARY_KEYS
    assert pq.read_table(tmp_path / "o" / "features.parquet").num_rows == summary["bars"]


def test_a_report_is_made_again_from_the_files_of_a_run(run, tmp_path) -> None:
    run("backtest", *SYNTHETIC, "--out", "o")
    before = {path.name: path.read_bytes() for path in (tmp_path / "o").iterdir()}
    for name in ("report.html", "trades.parquet"):
        assert len(before[name]) > 0
    (tmp_path / "o" / "report.html").unlink()
    done = run("report", "o")
    assert (done.code, done.err) == (0, "")
    assert "report: o/report.html" in done.out
    assert {path.name: path.read_bytes() for path in (tmp_path / "o").iterdir()} == before
    done = run("report", "--out", "apart/page.html", "--json", "o")
    assert json.loads(done.out) == json.loads(before["summary.json"])
    assert (tmp_path / "apart" / "page.html").read_bytes() == before["report.html"]


def test_a_report_counts_the_variants_that_were_tried(run, tmp_path) -> None:
    for ratio in ("1.5", "2.5"):
        run("backtest", *SYNTHETIC, "--set", f"gate.min_rr={ratio}", "--out", f"tried/{ratio}")
    summary = json.loads(run("report", "tried/1.5", "--trials", "tried", "--json").out)
    assert summary["selection"]["trials"] == 2
    stored = json.loads((tmp_path / "tried" / "1.5" / "summary.json").read_text())
    assert stored["selection"]["trials"] == 2
    refused(run("report", "tried/1.5", "--trials", "tried/1.5"), 5, "holds no other run")


def test_two_runs_are_compared_and_a_folder_without_one_is_refused(run, tmp_path) -> None:
    run("backtest", *SYNTHETIC, "--out", "a")
    run("backtest", *SYNTHETIC, "--seed", "2", "--out", "b")
    same = run("report", "compare", "a", "a")
    assert (same.code, same.err) == (0, "")
    assert "every decision, fill and trade is the same" in same.out
    done = run("report", "compare", "a", "b", "--out", "c.html", "--json")
    found = json.loads(done.out)
    assert "data_sha256" in found["comparison"]["identity"]
    assert "configuration_sha256" not in found["comparison"]["identity"]
    assert not found["divergence"]["identical"]
    assert "Where they part" in (tmp_path / "c.html").read_text()
    refused(run("report", "compare", "a", "nosuch"), 5, "nosuch holds no run")
    refused(run("report", "nosuch"), 5, "nosuch holds no run")


def test_json_is_all_that_a_program_reads(run, exported) -> None:
    results = {
        "backtest": run("backtest", *SYNTHETIC, "--json"),
        "replay": run("replay", *SYNTHETIC, "--json"),
        "lookahead": run("backtest", *SYNTHETIC, "--check-lookahead", "--samples", "2", "--json"),
        "config": run("config", "show", "--json"),
        "info": run("data", "info", exported, "--json"),
        "import": run("data", "import", exported / "ESH25-CME.scid", "--out", "s", "--json"),
        "again": run("data", "import", exported / "ESH25-CME.scid", "--out", "s", "--json"),
        "synth": run("data", "synth", "--days", "1", *THIN, "--out", "t", "--json"),
    }
    found = {}
    for name, done in results.items():
        assert (done.code, done.err) == (0, ""), name
        found[name] = json.loads(done.out)
    assert set(found["backtest"]) >= SUMMARY_KEYS
    assert found["lookahead"] == {"bars_sampled": 2, "violations": []}
    assert found["replay"]["rows"] == found["backtest"]["bars"]
    assert found["import"][0]["rows"] > 0
    assert (found["again"][0]["already"], found["again"][0]["rows"]) == (True, 0)
    assert found["info"]["lost"] == []
    assert found["config"]["limits.vix_ceiling"] == {"value": 30, "source": "mode paper"}


def test_no_limit_is_null_in_json(run) -> None:
    done = run("config", "show", "--json", "--set", "trading_mode=data_collection")
    assert json.loads(done.out)["limits.vix_ceiling"]["value"] is None


def test_settings_are_shown_with_their_sources(run, monkeypatch) -> None:
    monkeypatch.setenv("MAX_DAILY_LOSS", "333")
    done = run("config", "show", "--config", "demo", "--set", "gate.min_rr=2.25")
    lines = {line.split()[1]: line for line in done.out.splitlines() if line.startswith("│")}
    assert "command line" in lines["gate.min_rr"]
    assert "2.25" in lines["gate.min_rr"]
    assert "profile demo" in lines["feed"]
    assert "environment, max_daily_loss" in lines["limits.daily_loss_usd"]
    assert "333" in lines["limits.daily_loss_usd"]
    assert "default" in lines["gate.end_min"]
    assert "…" not in done.out


def test_a_dry_run_and_a_lookahead_check_write_nothing(run, tmp_path) -> None:
    assert run("backtest", *SYNTHETIC, "--dry-run", "--export-features", "f.parquet").code == 0
    done = run("backtest", *SYNTHETIC, "--check-lookahead", "--samples", "3")
    assert (done.code, done.out.startswith("no look-ahead: at 3 sampled bars")) == (0, True)
    assert list(tmp_path.iterdir()) == []


def test_a_found_lookahead_is_exit_code_1(run, monkeypatch) -> None:
    from mia.performance.lookahead import Violation

    found = ([Violation(7, "was", "became")], 3)
    monkeypatch.setattr("mia.backtest.Backtest.check_lookahead", lambda *_: found)
    done = run("backtest", *SYNTHETIC, "--check-lookahead", "--json")
    assert done.code == 1
    assert json.loads(done.out)["violations"] == [{"ts": 7, "was": "was", "became": "became"}]
    assert run("backtest", *SYNTHETIC, "--check-lookahead").out == "look-ahead at 7: was\n"


def test_the_same_command_gives_the_same_bytes(run, exported, tmp_path) -> None:
    for name in ("a", "b"):
        assert run("backtest", "--data", exported, "--out", name).code == 0
    for name in ("trades", "decisions", "equity"):
        file = f"{name}.parquet"
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    summaries = [json.loads((tmp_path / name / "summary.json").read_text()) for name in "ab"]
    for summary in summaries:
        del summary["seconds"], summary["ticks_per_second"]
    assert summaries[0] == summaries[1]


def test_store_and_synthetic_market_give_the_same_trades(run, exported, tmp_path) -> None:
    plan = ("--seed", "3", "--days", "2", *THIN)
    assert run("backtest", "--data", exported, "--out", "a").code == 0
    assert run("backtest", "--synthetic", *plan, "--out", "b").code == 0
    for name in ("trades.parquet", "decisions.parquet"):
        a, b = (pq.read_table(tmp_path / folder / name) for folder in "ab")
        assert a.to_pandas().equals(b.to_pandas())


def test_the_environment_names_the_data_and_synthetic_overrides_it(
    run, exported, monkeypatch
) -> None:
    monkeypatch.setenv("MIA_DATA", str(exported))
    assert json.loads(run("backtest", "--days", "1", "--json").out)["source"] == "store"
    summary = json.loads(run("backtest", *SYNTHETIC, "--json").out)
    assert summary["source_kind"] == "synthetic"


def test_a_run_as_wire_says_so_and_is_another_run(run) -> None:
    plain = json.loads(run("backtest", *SYNTHETIC, "--dry-run", "--json").out)
    wire = json.loads(run("backtest", *SYNTHETIC, "--dry-run", "--json", "--as-wire").out)
    assert wire["data_sha256"] != plain["data_sha256"]
    assert wire["source"] == plain["source"] + " as wire"
    assert wire["ticks"] == plain["ticks"]


def test_a_replay_as_wire_has_the_bars_of_the_tape(run, tmp_path) -> None:
    assert run("replay", *SYNTHETIC, "--out", "plain.parquet").code == 0
    assert run("replay", *SYNTHETIC, "--as-wire", "--out", "wire.parquet").code == 0
    plain, wire = (pq.read_table(tmp_path / f"{name}.parquet") for name in ("plain", "wire"))
    for name in ("ts", "open", "high", "low", "close", "volume"):
        assert wire[name] == plain[name], name


def test_how_often_inferred_sides_are_right_is_told(run) -> None:
    found = json.loads(run("data", "sides", *SYNTHETIC, "--json").out)
    assert 0.95 * found["known"] < found["right"] <= found["known"] <= found["trades"]
    assert "inferred right for" in run("data", "sides", *SYNTHETIC).out


def test_a_range_of_the_synthetic_market_is_by_session(run) -> None:
    argv = ("backtest", "--synthetic", *THIN, "--json", "--from", "2025-03-10")
    summary = json.loads(run(*argv, "--to", "2025-03-13").out)
    assert (summary["sessions"], summary["last_session"]) == (4, 20250313)
    summary = json.loads(run(*argv, "--to", "2025-03-13", "--days", "1").out)
    assert (summary["first_session"], summary["sessions"]) == (20250313, 1)


def test_the_symbol_defaults_to_the_setting(run, exported) -> None:
    refused(run("backtest", "--data", exported, "--set", "symbol=NQ"), 5, "nothing of NQ")
    done = run("backtest", "--data", exported, "--set", "symbol=NQ", "--symbol", "ESH25", "--json")
    assert done.code == 0


def test_importing_a_wrong_file_imports_none(run, exported, tmp_path) -> None:
    (tmp_path / "bad.txt").write_text("dear diary\n")
    files = (exported / "ESH25-CME.scid", "bad.txt")
    refused(run("data", "import", *files, "--out", "s"), 5, "bad.txt")
    assert not (tmp_path / "s").exists()


def test_another_root_than_asked_for_is_refused(run, exported, tmp_path) -> None:
    argv = ("data", "import", exported / "ESH25-CME.scid", "--out", "s", "--symbol")
    refused(run(*argv, "NQ"), 5, "holds ESH25, not NQ")
    refused(run(*argv, "ESM25"), 5, "says ESH25, not ESM25")
    assert not (tmp_path / "s").exists()


def test_events_are_imported_once(run) -> None:
    Path("events.csv").write_text("name,impact,ts_utc\nCPI,high,2025-03-12T12:30:00\n")
    argv = ("calendar", "import", "events.csv", "--out", "s", "--json")
    first, again = (json.loads(run(*argv).out) for _ in range(2))
    assert (first["added"], again["added"]) == (1, 0)
    Path("old.csv").write_text("name,impact,ts_utc\nCPI,high,1890-03-12T12:30:00\n")
    refused(run("calendar", "import", "old.csv", "--out", "t"), 5, "old.csv")
    refused(run("calendar", "import", "gone.csv", "--out", "t"), 5, "gone.csv does not exist")
    assert not Path("t").exists()


def test_names_that_no_encoding_knows_are_printed_all_the_same(run, tmp_path) -> None:
    name = os.fsdecode(b"\xff.scid")
    refused(run("backtest", "--data", name), 5, "does not exist")


def test_a_closed_pipe_and_a_full_output_end_quietly() -> None:
    code = "import sys; from mia.cli import main; sys.argv = ['mia', 'config', 'show']; main()"
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", code],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == "mia: cannot read or write the output: No space left on device\n"


def interrupted(delay: float, number: int, *argv: str) -> tuple[int, str]:
    running = subprocess.Popen(
        [sys.executable, *argv],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    time.sleep(delay)
    running.send_signal(number)
    _, err = running.communicate(timeout=60)
    return running.returncode, err


LONG = ("-m", "mia.cli", "backtest", "--synthetic", "--days", "200", "--trades-per-day", "300000")


@pytest.mark.parametrize("delay", [1.0, 2.5])
def test_ctrl_c_leaves_no_traceback_and_no_file(tmp_path: Path, delay: float) -> None:
    code, err = interrupted(delay, signal.SIGINT, *LONG, "--out", "o")
    assert (code, err) == (interrupts.INTERRUPTED, "mia: interrupted\n")
    assert list(tmp_path.iterdir()) == []


def test_termination_unwinds_too(tmp_path: Path) -> None:
    code, err = interrupted(3.0, signal.SIGTERM, *LONG, "--out", "o")
    assert (code, err) == (interrupts.TERMINATED, "")
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_that_was_dropped_is_raised_at_the_next_report(monkeypatch) -> None:
    monkeypatch.setattr(interrupts, "_pending", True)
    with progress_bar("x", quiet=True) as progress, pytest.raises(KeyboardInterrupt):
        progress(1, 2)


def test_progress_is_shown_on_a_terminal_only_and_never_on_stdout(tmp_path: Path) -> None:
    main, other = pty.openpty()
    running = subprocess.Popen(
        [sys.executable, "-m", "mia.cli", "backtest", *SYNTHETIC, "--json", "--out", "o"],
        env=os.environ | {"PYTHONPATH": str(ROOT), "TERM": "xterm", "NO_COLOR": "1"},
        stdout=subprocess.PIPE,
        stderr=other,
    )
    os.close(other)
    out, _ = running.communicate(timeout=60)
    shown = b""
    while True:
        try:
            piece = os.read(main, 4096)
        except OSError:
            break
        if not piece:
            break
        shown += piece
    os.close(main)
    assert running.returncode == 0
    assert json.loads(out)["trades"] >= 0
    assert b"backtest" in shown
    assert b"\x1b[3" not in shown, "colours in spite of NO_COLOR"


def test_the_scripts_of_a_checkout_are_the_commands(tmp_path: Path) -> None:
    argv = [str(ROOT / "scripts" / "run_backtest.py"), *SYNTHETIC, "--json", "--out", "o"]
    done = process(*argv)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["sessions"] == 1
    done = process(str(ROOT / "scripts" / "automation_main.py"), "--config", "production")
    assert done.returncode == 3
    assert done.stderr.startswith("mia: set ibkr.port and ibkr.account")


@pytest.mark.slow
def test_the_examples_of_the_page_run(run: Runner, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "command-line.md").read_text()
    blocks = [block.split("\n", 1) for block in page.split("```")[1::2]]
    for info, text in blocks:
        kind, _, name = info.partition(" ")
        if kind in {"csv", "jsonl", "toml"} and name:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
    lines = [line for info, text in blocks if not info for line in text.strip().splitlines()]
    ran = set()
    for line in lines:
        program, *argv = shlex.split(line)
        if program == "mia":
            done = run(*argv)
            assert done.code == 0, (line, done)
            ran.add(tuple(word for word in argv[:2] if not word.startswith("-")))
        else:
            path = [str(ROOT / word) if word.startswith("scripts/") else word for word in argv]
            code = process(*path)
            assert code.returncode == 0, (line, code.stderr)
    # What serves until it is interrupted, what tells by its exit code, and what needs hundreds of
    # trades or a trader's journal, have tests of their own.
    apart = {"gateway", "dashboard", "watch", "health", "report day", "kill"}
    named = {" ".join(command) for command in commands()} | {"kill status"}
    named = {name for name in named - apart if not name.startswith("ml ")}
    assert {" ".join(command) for command in ran} == named


def test_an_error_that_is_a_bug_keeps_its_traceback(monkeypatch) -> None:
    broken = typer.Typer()

    @broken.command()
    def fail() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(sys, "argv", ["mia"])
    with pytest.raises(ZeroDivisionError):
        run_app(broken, "mia")
