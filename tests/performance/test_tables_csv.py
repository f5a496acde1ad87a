import csv
import math

import pytest
from run_cases import a_run

from mia.performance.tables_csv import write_csv, write_tables


def read(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_numbers_come_back_to_the_bit_and_what_is_undefined_is_empty(tmp_path):
    rows = [{"a": 0.1 + 0.2, "b": None}, {"a": math.nan, "b": "x, y"}, {"a": -1e-300}]
    write_csv(tmp_path / "t.csv", ("a", "b"), rows)
    found = read(tmp_path / "t.csv")
    assert float(found[0]["a"]) == 0.1 + 0.2
    assert [row["b"] for row in found] == ["", "x, y", ""]
    assert found[1]["a"] == ""


def test_the_tables_are_the_run(tmp_path):
    run = a_run(seed=3)
    write_tables(tmp_path, run.record, run.summary)
    trades = read(tmp_path / "trades.csv")
    assert [float(row["net_pnl_usd"]) for row in trades] == [t.net_pnl for t in run.record.trades]
    sessions = read(tmp_path / "sessions.csv")
    assert len(sessions) == run.summary["sessions"]
    assert float(sessions[-1]["equity_usd"]) == pytest.approx(run.summary["end_equity_usd"])
    groups = read(tmp_path / "groups.csv")
    for name in ("month", "weekday", "hour", "regime", "trigger", "side", "exit"):
        held = [row for row in groups if row["group"] == name]
        assert sum(int(row["trades"]) for row in held) == len(trades)
        for row in held:
            low, rate, high = (float(row[f"win_rate{end}"]) for end in ("_low", "", "_high"))
            assert low - 1e-12 <= rate <= high + 1e-12
    figures = {row["figure"]: row["value"] for row in read(tmp_path / "figures.csv")}
    assert float(figures["sharpe"]) == run.summary["sharpe"]
    assert float(figures["excursions.edge_ratio"]) == run.summary["excursions"]["edge_ratio"]
