import shutil
from pathlib import Path

import numpy as np
import pytest
from chain_samples import at, contracts, small_chain

from mia.data.chains import ChainArchive, read_chain
from mia.data.synthetic.chain_payloads import cboe_csv, cboe_json, occ_text
from mia.errors import DataError, FormatError

NOON = at(12 * 60 + 15)
CSV = cboe_csv(small_chain())
LATER = cboe_json(small_chain(13 * 60))
OCC = occ_text(small_chain())
END = 2**62


def filled(folder: Path) -> ChainArchive:
    archive = ChainArchive(folder)
    archive.put(LATER, name="b.json")
    archive.put(CSV, name="a.csv")
    archive.put(OCC, at(6 * 60 + 45), name="occ.txt")
    return archive


def test_a_payload_is_kept_to_the_byte_under_its_arrival_source_and_hash(tmp_path: Path) -> None:
    entry = ChainArchive(tmp_path).put(CSV)
    assert entry.path.parent.name == "20240117"
    assert entry.path.name.startswith("20240117T171500.000000000Z_chain_cboe-csv_")
    assert entry.received_at == NOON
    assert contracts(read_chain(entry.path)) == contracts(small_chain())


def test_the_same_payload_again_changes_nothing(tmp_path: Path) -> None:
    archive = filled(tmp_path)
    files = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    filled(tmp_path)
    archive.put(CSV)
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file()} == files
    assert len(files) == 3
    assert len(archive.entries()) == len(ChainArchive(tmp_path).entries()) == 3


def test_the_same_payload_received_later_is_an_event_of_its_own(tmp_path: Path) -> None:
    archive = ChainArchive(tmp_path)
    archive.put(CSV)
    archive.put(CSV, NOON + 1)
    assert [entry.received_at for entry in archive.entries()] == [NOON, NOON + 1]


def test_chains_come_in_the_order_of_arrival_with_the_open_interest_known_then(
    tmp_path: Path,
) -> None:
    chains = list(filled(tmp_path).chains(0, END))
    assert [chain.meta.received_at for chain in chains] == [at(405), NOON, at(13 * 60 + 15)]
    assert [chain.meta.source for chain in chains] == ["occ", "cboe-csv+occ", "cboe-json+occ"]
    raw = list(ChainArchive(tmp_path).chains(0, END, merged=False))
    assert [chain.meta.source for chain in raw] == ["occ", "cboe-csv", "cboe-json"]


def test_a_span_begins_with_its_start_and_ends_before_its_end(tmp_path: Path) -> None:
    archive = filled(tmp_path)
    assert [c.meta.received_at for c in archive.chains(NOON, at(795))] == [NOON]
    assert not list(archive.chains(NOON + 1, at(795)))


def test_what_came_before_the_span_is_known_in_it(tmp_path: Path) -> None:
    (chain,) = filled(tmp_path).chains(NOON, NOON + 1)
    assert chain.meta.source == "cboe-csv+occ"


def test_new_open_interest_shows_with_the_quotes_of_before(tmp_path: Path) -> None:
    archive = filled(tmp_path)
    archive.put(OCC, at(7 * 60, 20240118), "occ")
    chain = next(archive.chains(at(0, 20240118), END))
    assert chain.meta.oi_session == 20240117
    assert chain.meta.received_at == at(7 * 60, 20240118)
    assert chain.meta.quotes_asof == at(13 * 60)


def test_the_latest_chain_is_the_last_received_by_then(tmp_path: Path) -> None:
    archive = filled(tmp_path)
    assert archive.latest(at(404)) is None
    known = [archive.latest(t) for t in (at(405), NOON - 1, NOON, at(795) - 1, at(795), END)]
    assert [chain.meta.source for chain in known if chain is not None] == [
        "occ", "occ", "cboe-csv+occ", "cboe-csv+occ", "cboe-json+occ", "cboe-json+occ",
    ]  # fmt: skip


def test_latest_and_the_stream_tell_the_same(tmp_path: Path) -> None:
    archive = filled(tmp_path)
    for chain in archive.chains(0, END):
        again = ChainArchive(tmp_path).latest(chain.meta.received_at)
        assert again is not None
        assert repr(again.meta) == repr(chain.meta)  # nan is not equal to itself
        np.testing.assert_array_equal(again.open_interest, chain.open_interest)
        np.testing.assert_array_equal(again.bid, chain.bid)


def test_the_time_of_quotes_that_a_user_gave_is_kept(tmp_path: Path) -> None:
    payload = cboe_csv(small_chain(), date_line="17/01/2024")
    ChainArchive(tmp_path).put(payload, NOON, quotes_asof=at(11 * 60))
    (chain,) = ChainArchive(tmp_path).chains(0, END)
    assert (chain.meta.quotes_asof, chain.meta.received_at) == (at(11 * 60), NOON)


@pytest.mark.parametrize("payload", [b"", b"<html>", LATER[:1000], b"PAR1", b"\x28\xb5\x2f\xfd"])
def test_what_is_no_chain_is_set_aside_with_the_reason(tmp_path: Path, payload: bytes) -> None:
    archive = ChainArchive(tmp_path)
    with pytest.raises(FormatError) as caught:
        archive.put(payload, NOON, "cboe-json", name="x.json")
    (kept,) = (tmp_path / "quarantine").glob("*.bin")
    assert kept.read_bytes() == payload
    assert kept.with_suffix(".txt").read_text() == f"{caught.value}\n"
    assert archive.entries() == []


def test_a_source_that_does_not_fit_a_file_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"source '\.\./x' must be"):
        ChainArchive(tmp_path).put(CSV, source="../x")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("damage", ["truncate", "flip", "swap", "empty", "remove"])
def test_a_damaged_file_is_passed_over_and_named(tmp_path: Path, damage: str) -> None:
    archive = filled(tmp_path)
    archive = ChainArchive(tmp_path)
    entry = archive.entries()[-1]
    content = bytearray(entry.path.read_bytes())
    if damage == "truncate":
        entry.path.write_bytes(content[: len(content) // 2])
    elif damage == "flip":
        content[len(content) // 2] ^= 0xFF
        entry.path.write_bytes(content)
    elif damage == "swap":
        shutil.copyfile(archive.entries()[1].path, entry.path)
    elif damage == "empty":
        entry.path.write_bytes(b"")
    else:
        entry.path.unlink()
    latest = archive.latest(END)
    assert latest is not None
    assert latest.meta.received_at == NOON
    assert len(list(archive.chains(0, END))) == 2
    assert [issue.source for issue in archive.issues] == [entry.path.name]
    assert archive.issues[0].reason.startswith("damaged: ")


def test_foreign_files_in_the_folder_are_left_alone(tmp_path: Path) -> None:
    filled(tmp_path)
    (tmp_path / "20240117" / "notes.zst").write_bytes(b"x")
    (tmp_path / "20240117" / f"20249917T000000.000000000Z_oi_occ_{'0' * 64}.zst").write_bytes(b"x")
    assert len(ChainArchive(tmp_path).entries()) == 3


def test_an_archive_that_does_not_exist_is_empty(tmp_path: Path) -> None:
    archive = ChainArchive(tmp_path / "none")
    assert archive.latest(END) is None
    assert list(archive.chains(0, END)) == []
