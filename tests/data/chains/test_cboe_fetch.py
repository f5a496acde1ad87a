from pathlib import Path

import pytest
from chain_samples import SECOND, at, small_chain

from mia.data.chains import ChainArchive
from mia.data.chains.cboe_fetch import MIN_INTERVAL_S, fetch_into
from mia.data.synthetic.chain_payloads import cboe_json
from mia.errors import DataError, FormatError, UsageError

NOW = at(12 * 60 + 16)


class Answers:
    def __init__(self, content: bytes) -> None:
        self.content = content
        self.asked = 0

    def __call__(self, url: str) -> bytes:
        self.asked += 1
        return self.content


def test_nothing_is_fetched_without_the_terms(tmp_path: Path) -> None:
    answers = Answers(b"")
    with pytest.raises(UsageError, match="accept these terms"):
        fetch_into(ChainArchive(tmp_path), NOW, accept_terms=False, download=answers)
    assert answers.asked == 0


def test_an_answer_is_archived_as_received(tmp_path: Path) -> None:
    archive = ChainArchive(tmp_path)
    entry = fetch_into(archive, NOW, accept_terms=True, download=Answers(cboe_json(small_chain())))
    assert (entry.received_at, entry.source) == (NOW, "cboe-json")
    chain = archive.latest(NOW)
    assert chain is not None
    assert chain.meta.quotes_asof == at(12 * 60)


def test_the_next_fetch_waits_also_after_a_restart(tmp_path: Path) -> None:
    answers = Answers(cboe_json(small_chain()))
    fetch_into(ChainArchive(tmp_path), NOW, accept_terms=True, download=answers)
    early = NOW + (MIN_INTERVAL_S - 1) * SECOND
    with pytest.raises(DataError, match="899 s old: wait until 900 s"):
        fetch_into(ChainArchive(tmp_path), early, accept_terms=True, download=answers)
    assert answers.asked == 1
    fetch_into(ChainArchive(tmp_path), early + SECOND, accept_terms=True, download=answers)
    assert answers.asked == 2


def test_a_page_instead_of_data_is_set_aside(tmp_path: Path) -> None:
    answers = Answers(b"<html>blocked</html>")
    with pytest.raises(FormatError, match="web page"):
        fetch_into(ChainArchive(tmp_path), NOW, accept_terms=True, download=answers)
    assert len(list((tmp_path / "quarantine").glob("*.bin"))) == 1
