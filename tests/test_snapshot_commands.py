"""``mia snapshots`` finds what the trader wrote."""

import json
import sys
from pathlib import Path

import pytest

from mia.cli.app import app
from mia.command_line import run_app
from mia.data.snapshot_files import SnapshotWriter

NOON = 1_770_638_400_000_000_000
HOUR = 3_600 * 10**9


def decision(k: int, reason: str, strategy: str) -> dict:
    body = {"reason": reason, "strategy": strategy, "setup": "T1", "side": 1}
    return {
        "type": "DECISION",
        "ts": NOON + k * HOUR,
        "trade_id": f"TRADE_20260209_{12 + k}0000_aaaaaaaa",
        "decision": body,
    }


@pytest.fixture
def state(tmp_path: Path) -> Path:
    writer = SnapshotWriter(tmp_path / "state" / "snapshots")
    writer.put(decision(0, "CONFLUENCE", "TREND"))
    writer.put(decision(1, "OK", "RANGE"))
    name = decision(1, "OK", "RANGE")["trade_id"]
    fill = {"role": "ENTRY", "side": 1, "quantity": 2, "price": 22_400}
    result = {"exit_reason": "STOP", "strategy": "RANGE", "net_pnl": -50.0}
    writer.put({"type": "EXECUTION", "ts": NOON + HOUR + 1, "trade_id": name, "execution": fill})
    writer.put({"type": "FINAL_RESULT", "ts": NOON + 2 * HOUR, "trade_id": name, "result": result})
    writer.put(decision(13, "MTF", "TREND"))
    assert writer.stop()
    return tmp_path / "state"


@pytest.fixture
def mia(monkeypatch, capsys):
    monkeypatch.setenv("TERM", "dumb")

    def run(*argv: object) -> tuple[object, str, str]:
        monkeypatch.setattr(sys, "argv", ["mia", "snapshots", *map(str, argv)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            run_app(app, "mia")
        return left.value.code, *capsys.readouterr()

    return run


def test_days_and_types_are_counted(mia, state) -> None:
    _, out, _ = mia("list", "--state", state, "--json")
    assert json.loads(out) == {
        "days": {
            "2026-02-09": {"DECISION": 2, "EXECUTION": 1, "FINAL_RESULT": 1},
            "2026-02-10": {"DECISION": 1},
        },
        "torn_lines": 0,
    }
    code, out, _ = mia("list", "--state", state, "--day", "2026-02-10")
    assert code == 0
    assert "2026-02-10" in out
    assert "2026-02-09" not in out


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ((), 5),
        (("--type", "DECISION"), 3),
        (("--type", "decision", "--type", "EXECUTION"), 4),
        (("--day", "2026-02-09"), 4),
        (("--trade", "TRADE_20260209_13"), 3),
        (("--reason", "stop"), 1),
        (("--reason", "CONFLUENCE"), 1),
        (("--strategy", "range"), 2),
        (("--type", "DECISION", "--strategy", "RANGE", "--reason", "OK"), 1),
        (("--limit", "2"), 2),
        (("--reason", "RR"), 0),
    ],
)
def test_filters_narrow_the_query(mia, state, filters, found: int) -> None:
    code, out, _ = mia("query", "--state", state, "--json", *filters)
    assert code == 0
    assert len(json.loads(out)) == found


def test_a_query_prints_a_line_for_each(mia, state) -> None:
    _, out, _ = mia("query", "--state", state)
    for words in ("CONFLUENCE", "ENTRY 1 2", "STOP", "2026-02-09 12:00:00"):
        assert words in out


def test_a_limit_keeps_the_latest(mia, state) -> None:
    _, out, _ = mia("query", "--state", state, "--json", "--limit", "1")
    assert json.loads(out)[0]["decision"]["reason"] == "MTF"


def test_a_trade_is_shown_whole(mia, state) -> None:
    _, out, _ = mia("show", "TRADE_20260209_13", "--state", state)
    assert [record["type"] for record in json.loads(out)] == [
        "DECISION",
        "EXECUTION",
        "FINAL_RESULT",
    ]
    _, out, _ = mia("show", "TRADE_20260209_13", "--state", state, "--type", "EXECUTION")
    assert len(json.loads(out)) == 1


def test_torn_lines_are_told(mia, state) -> None:
    path = state / "snapshots" / "2026-02-10_decision.jsonl"
    path.write_bytes(path.read_bytes()[:-9])
    _, out, _ = mia("list", "--state", state)
    assert "1 torn lines were passed over" in out


@pytest.mark.parametrize(
    ("argv", "code", "word"),
    [
        (("list", "--state", "nowhere"), 5, "does not exist"),
        (("show", "TRADE_1", "--state", "STATE"), 5, "no snapshot of TRADE_1"),
        (("query", "--state", "STATE", "--type", "NONSENSE"), 2, "unknown type 'NONSENSE'"),
        (("list", "--state", "STATE", "--day", "9.2.2026"), 2, "takes a date"),
    ],
)
def test_what_is_not_there_is_said_in_a_line(mia, state, argv, code: int, word: str) -> None:
    left, out, err = mia(*(state if a == "STATE" else a for a in argv))
    assert (left, out) == (code, "")
    assert word in err
    assert err.count("\n") == 1
