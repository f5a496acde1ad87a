import math

import pytest
from search_samples import at

from mia.errors import AlreadyRunning, DataError
from mia.optimize.ledger import ASKED, COMPLETE, INVALID, PRUNED, Ledger, StudyFacts
from mia.optimize.trial import Done, Outcome, Trade


def opened(path, second=0):
    return Ledger(path, "here:1", lambda: at(second))


def study(name="s", market="ES", first=20240102, last=20240131, code="c"):
    return StudyFacts(name, market, first, last, "d", code, {"seed": 1})


def task(key):
    return (key, f"p{key}", "d", "c", "0-4")


def test_a_result_is_there_after_the_writer_is_gone_and_a_lease_is_not(tmp_path):
    with opened(tmp_path / "l.sqlite") as book:
        book.lease([task("a"), task("b")])
        book.finish(Done("a", "[[1.5],[],3,0]", 0.5, "w:2"))
        assert book.outcomes(["a", "b", "c"]) == {"a": "[[1.5],[],3,0]"}
    with opened(tmp_path / "l.sqlite") as book:
        assert book.outcomes(["a", "b"]) == {"a": "[[1.5],[],3,0]"}
        book.lease([task("b")])
        book.finish(Done("b", "[[2.5],[],3,0]", 0.5, "w:3"))
        assert set(book.outcomes(["a", "b"])) == {"a", "b"}
        assert book.effort(["a", "b"]) == (1.0, {"w:2", "w:3"})


def test_a_second_coordinator_is_kept_out(tmp_path):
    with opened(tmp_path / "l.sqlite"), pytest.raises(AlreadyRunning, match=r"l\.sqlite"):
        opened(tmp_path / "l.sqlite")
    with opened(tmp_path / "l.sqlite"):
        pass


def test_two_results_for_one_task_are_an_alarm_and_the_same_twice_is_none(tmp_path):
    with opened(tmp_path / "l.sqlite") as book:
        book.lease([task("a")])
        book.finish(Done("a", "[[1.5],[],3,0]", 0.5, "w:2"))
        book.finish(Done("a", "[[1.5],[],3,0]", 0.7, "w:3"))
        with pytest.raises(DataError, match="two results"):
            book.finish(Done("a", "[[1.6],[],3,0]", 0.5, "w:2"))


def test_a_file_that_is_no_ledger_is_refused_and_let_go(tmp_path):
    path = tmp_path / "l.sqlite"
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(DataError, match="name another"):
        opened(path)
    path.unlink()
    with opened(path):
        pass


def test_variants_count_once_however_many_studies_tried_them(tmp_path):
    with opened(tmp_path / "l.sqlite") as book:
        for name, first, last, variants in (
            ("one", 20240102, 20240131, {"x": 1.0, "y": -1.0}),
            ("two", 20240115, 20240215, {"y": -0.5, "z": None}),
            ("later", 20240301, 20240331, {"q": 3.0}),
        ):
            book.open_study(study(name, first=first, last=last))
            for number, (params, ratio) in enumerate(variants.items()):
                book.ask(name, number, params, {}, ASKED)
                book.close_trial(name, number, COMPLETE, ratio)
        assert sorted(book.tried("ES", 20240102, 20240131), key=str) == [-1.0, 1.0, None]
        assert len(book.tried("ES", 20240102, 20240331)) == 4
        assert book.tried("NQ", 20240102, 20240331) == []
        book.open_study(study("other code", code="c2"))
        book.ask("other code", 0, "x", {}, ASKED)
        book.close_trial("other code", 0, PRUNED, 0.2)
        assert len(book.tried("ES", 20240102, 20240131)) == 4


def test_what_was_refused_or_never_ran_is_no_trial(tmp_path):
    with opened(tmp_path / "l.sqlite") as book:
        book.open_study(study())
        book.ask("s", 0, "", {"trend.target_r": -1}, INVALID, "refused")
        book.ask("s", 1, "x", {}, ASKED)
        assert book.tried("ES", 20240102, 20240131) == []
        rows = book.trials("s")
        assert [(row.number, row.state) for row in rows] == [(0, INVALID), (1, ASKED)]
        assert rows[0].note == "refused"


def test_numbers_come_back_to_the_bit():
    trade = Trade(20240102, 1, 0.1 + 0.2, 1e-300, 4.02, math.pi, -0.0)
    outcome = Outcome((0.1, -1 / 3, 5e-324), (trade,), 7, 0)
    assert repr(Outcome.of(outcome.text())) == repr(outcome)
