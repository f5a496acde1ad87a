import json
import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from options_samples import a_market, intraday_chains, truths, wiped
from typer.testing import CliRunner

from mia.cli.app import app
from mia.data.chains import ChainArchive, chain_file
from mia.data.synthetic.chains import ChainPlan
from mia.errors import DataError, FormatError, UsageError
from mia.features.options_features import FEATURES

FAR = ChainPlan(flip=-0.5, call_wall=1.5, put_wall=-1.5)
REAL = pytest.mark.skipif("MIA_REAL_DATA" not in os.environ, reason="needs MIA_REAL_DATA")


def run(*arguments):
    result = CliRunner().invoke(app, ["options", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def chain():
    return intraday_chains(a_market(days=1), FAR)[1]


@pytest.fixture
def file(tmp_path, chain):
    path = tmp_path / "chain.parquet"
    path.write_bytes(chain_file.to_bytes(chain))
    return path


@pytest.fixture
def night(tmp_path, chain):
    path = tmp_path / "night.parquet"
    path.write_bytes(chain_file.to_bytes(wiped(chain)))
    return path


def test_show_gives_levels_features_and_quality_as_json(file, chain):
    found = json.loads(run("show", file, "--json"))
    (truth,) = truths(a_market(days=1), [chain], FAR)
    assert found["quality"] > 0.9
    assert found["asof_ns"] == chain.meta.quotes_asof
    assert found["spot"] == pytest.approx(truth.spot, abs=0.5)
    assert found["gex_usd_per_pct"] == pytest.approx(truth.gex_usd_per_pct, rel=0.05)
    assert (found["call_wall"], found["put_wall"]) == (truth.call_wall, truth.put_wall)
    assert min(abs(flip["level"] - truth.flip) for flip in found["flips"]) < 5
    assert tuple(found["features"]) == FEATURES
    assert found["features_valid"]["hedge_flow"] is False


def test_show_puts_time_and_quality_beside_every_number(file):
    lines = [line for line in run("show", file).splitlines() if line.startswith("│")]
    assert len(lines) > 20
    assert all(
        re.search(r"2025-03-10T\d\d:\d\d:00Z +│ 0\.\d\d|2025.*│ 1\.00", line) for line in lines
    )


def test_a_wiped_chain_shows_no_level_and_no_feature(night):
    found = json.loads(run("show", night, "--json"))
    assert found["quality"] == 0.0
    assert found["flips"] == []
    assert found["call_wall"] is found["put_wall"] is found["flip"] is None
    assert set(found["features"].values()) == {0.0}
    assert not any(found["features_valid"].values())
    assert "hidden" in run("show", night)
    assert "no level" in run("levels", night, "--es", "4500")


def test_quality_is_judged_at_the_instant_asked_for(file):
    assert (
        json.loads(run("show", file, "--json", "--at", "2025-03-10T16:30:00-04:00"))["quality"] == 0
    )


def test_the_model_changes_the_sign(file):
    naive = json.loads(run("show", file, "--json"))
    short = json.loads(run("show", file, "--json", "--model", "short_all"))
    assert short["gex_usd_per_pct"] == pytest.approx(-naive["gross_gex_usd_per_pct"])
    with pytest.raises(UsageError, match="--model"):
        run("show", file, "--model", "wrong")


def test_levels_keep_their_distance_in_es(file, chain):
    (truth,) = truths(a_market(days=1), [chain], FAR)
    shown = json.loads(run("show", file, "--json"))
    es = truth.spot * shown["es_fair_ratio"]
    found = json.loads(run("levels", file, "--es", es, "--json"))
    wall = next(row for row in found["levels"] if row["level"] == "call_wall")
    assert wall["es"] * 4 == round(wall["es"] * 4)
    assert wall["es"] == pytest.approx(truth.call_wall * es / truth.spot, abs=0.5)
    assert found["basis_from"] == "market"
    later = json.loads(run("levels", file, "--es", es + 50, "--json"))
    assert later["basis_from"] == "carry"
    assert later["spot"] == pytest.approx(truth.spot + 50, abs=1)
    with pytest.raises(UsageError, match="--es"):
        run("levels", file, "--es", "0")


def test_import_keeps_payloads_for_a_backtest(file, tmp_path, chain):
    out = tmp_path / "archive"
    assert "contracts" in run("import", file, "--out", out)
    run("import", file, "--out", out, "--received-at", "2025-03-10T12:00:00-04:00")
    entries = ChainArchive(out).entries()
    assert [entry.received_at for entry in entries] == [
        chain.meta.received_at,
        1741622400 * 10**9,
    ]
    with pytest.raises(UsageError, match="zone"):
        run("import", file, "--out", out, "--received-at", "2025-03-10T12:00:00")


def test_import_refuses_what_is_no_chain_and_keeps_the_rest(file, tmp_path):
    page = tmp_path / "page.json"
    page.write_text("<html>moved</html>")
    out = tmp_path / "archive"
    with pytest.raises(FormatError, match="1 of 2 refused"):
        run("import", page, file, "--out", out)
    assert len(ChainArchive(out).entries()) == 1
    assert list((out / "quarantine").iterdir())


def test_open_interest_alone_is_no_positioning(tmp_path, chain):
    bare = replace(
        chain,
        bid=np.full(len(chain), np.nan),
        ask=np.full(len(chain), np.nan),
        meta=replace(chain.meta, quotes_asof=0),
    )
    path = tmp_path / "oi.parquet"
    path.write_bytes(chain_file.to_bytes(bare))
    with pytest.raises(DataError, match="without quotes"):
        run("show", path)


def test_page_is_one_file_without_network(file, night, tmp_path):
    for source in (file, night):
        page = tmp_path / f"{source.stem}.html"
        run("show", source, "--html", page)
        text = page.read_text()
        assert "default-src 'none'" in text
        assert not re.search(r"https?://|<script|src=|url\(|@import", text)
        assert "prefers-color-scheme: dark" in text
        assert not re.search(r"\bnan\b|\binf\b|\$[a-z]", text)
    assert "call wall" in (tmp_path / "chain.html").read_text()
    hidden = (tmp_path / "night.html").read_text()
    assert "Flips and walls are hidden" in " ".join(hidden.split())
    assert "mark call-wall" not in hidden


def test_the_same_chain_gives_the_same_page(file, tmp_path):
    texts = set()
    for name in ("a.html", "b.html"):
        run("show", file, "--html", tmp_path / name)
        texts.add((tmp_path / name).read_text())
    assert len(texts) == 1


@REAL
@pytest.mark.parametrize(
    ("name", "quality", "usable"),
    [
        # At 10:11 its open interest may still be that of the day before: worth half.
        ("20220323_spanish_intraday", 0.49, True),
        ("20220712_padded_intraday", 0.9, True),
        ("20240107_known_answer", 0.6, True),
        ("20230405_overnight_bad", 0.0, False),
    ],
)
def test_real_chains_know_their_quality(name, quality, usable):
    folder = Path(os.environ["MIA_REAL_DATA"]) / "spx_chains"
    path = folder / f"spx_chain_{name}.csv"
    stamp = ("--received-at", "2022-03-23T10:11:00-04:00") if "spanish" in name else ()
    found = json.loads(run("show", path, *stamp, "--json"))
    assert found["quality"] >= quality - 1e-9
    assert found["usable"] == usable
    assert (found["call_wall"] is not None) == usable
