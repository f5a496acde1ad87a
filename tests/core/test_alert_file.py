import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from mia.core import alert_file
from mia.core.alert_file import Alert, AlertFile, AlertLevel, AlertTail, read_line
from mia.redaction import Redactor

OPEN: list[AlertFile | AlertTail] = []


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    while OPEN:
        OPEN.pop().close()


def follow(*arguments) -> AlertTail:
    OPEN.append(AlertTail(*arguments))
    return OPEN[-1]


def appending(*arguments, **more) -> AlertFile:
    OPEN.append(AlertFile(*arguments, **more))
    return OPEN[-1]


def put(file: AlertFile, text: str, level=AlertLevel.INFO) -> None:
    file.write(level, "key", text, 1, 2)


def texts(tail: AlertTail) -> list[str]:
    return [alert.text for _, alert in tail.read()]


def test_an_alert_is_one_line_that_reads_back(tmp_path) -> None:
    path = tmp_path / "alerts.ndjson"
    file = appending(path, str, "trader")
    assert file.write(AlertLevel.CRITICAL, "link", 'line\nbreak "quote" é', 5, 7)
    (line,) = path.read_bytes().splitlines()
    assert json.loads(line)["level"] == "CRITICAL"
    alert = Alert(5, AlertLevel.CRITICAL, "link", 'line\nbreak "quote" é', "trader", 7)
    assert read_line(line) == alert
    assert path.stat().st_mode & 0o777 == 0o600


def test_no_secret_reaches_the_file(tmp_path) -> None:
    path = tmp_path / "alerts.ndjson"
    appending(path, Redactor(["hunter-22"]), "t").write(
        AlertLevel.INFO, "k", "hunter-22 and https://discord.com/api/webhooks/1/abcdef", 1, 1
    )
    assert "hunter" not in path.read_text()
    assert "abcdef" not in path.read_text()


def test_a_reader_gets_each_line_once_and_waits_for_half_a_line(tmp_path) -> None:
    path = tmp_path / "alerts.ndjson"
    tail = follow(path)
    assert tail.read() == []
    file = appending(path, str, "trader")
    put(file, "a")
    assert texts(tail) == ["a"]
    line = Alert(1, AlertLevel.INFO, "k", "b", "t").line()
    with path.open("ab") as other:
        other.write(line[:10])
        other.flush()
        assert texts(tail) == []
        other.write(line[10:])
    assert texts(tail) == ["b"]
    assert texts(tail) == []


def test_what_a_dead_writer_left_in_the_middle_spoils_no_other_line(tmp_path) -> None:
    path = tmp_path / "alerts.ndjson"
    path.write_bytes(b'{"ts": 1, "lev')
    put(appending(path, str, "t"), "whole")
    tail = follow(path)
    assert texts(tail) == ["whole"]
    assert tail.damaged == 1


def test_a_place_is_found_again_after_a_restart(tmp_path) -> None:
    path = tmp_path / "alerts.ndjson"
    file = appending(path, str, "t")
    for text in "abcd":
        put(file, text)
    tail = follow(path)
    found = tail.read()
    again = follow(path, tail.place(found[2][0]))
    assert texts(again) == ["c", "d"]
    # To the byte: a place within a line would show as a line that is damaged.
    assert again.damaged == 0
    assert tail.position == again.position == path.stat().st_size
    last = follow(path, tail.place(tail.position))
    assert texts(last) == []
    assert last.damaged == 0


def test_a_file_that_is_put_aside_is_read_to_its_end(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(alert_file, "_LARGE", 100)
    path = tmp_path / "alerts.ndjson"
    file = appending(path, str, "t")
    tail = follow(path)
    put(file, "a")
    assert texts(tail) == ["a"]
    put(file, "b")
    middle = tail.place(tail.position)
    new = appending(path, str, "t", rotate=True)
    put(new, "c")
    assert texts(tail) == ["b", "c"]
    assert texts(follow(path, middle)) == ["b", "c"]
    assert texts(follow(path, tail.place(tail.position))) == []
    put(new, "d")
    assert texts(tail) == ["d"]


def test_a_reader_whose_file_is_gone_for_good_takes_all_of_the_new_one(tmp_path) -> None:
    path = tmp_path / "alerts.ndjson"
    put(appending(path, str, "t"), "old")
    tail = follow(path)
    tail.read()
    place = tail.place(tail.position)
    path.rename(tmp_path / "kept so that its number is not used again")
    put(appending(path, str, "t"), "new")
    assert texts(follow(path, place)) == ["new"]


def test_lines_of_several_processes_do_not_mix(tmp_path) -> None:
    path = tmp_path / "alerts.ndjson"
    code = (
        "import sys; from pathlib import Path; from mia.core.alert_file import *\n"
        "file = AlertFile(Path(sys.argv[1]), str, sys.argv[2])\n"
        "for k in range(2000): file.write(AlertLevel.INFO, 'k', sys.argv[2] * 300, k, k)"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", code, str(path), name]) for name in ("a", "b")
    ]
    tail, found = follow(path), []
    while any(writer.poll() is None for writer in writers):
        found += texts(tail)
    found += texts(tail)
    assert [writer.returncode for writer in writers] == [0, 0]
    assert len(found) == 4000
    assert set(found) == {"a" * 300, "b" * 300}
    assert tail.damaged == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a limit of one process")
def test_a_full_disk_is_counted_and_the_next_line_is_whole(tmp_path) -> None:
    path = tmp_path / "alerts.ndjson"
    code = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from mia.core.alert_file import *\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "file = AlertFile(Path(sys.argv[1]), str, 't')\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (250, resource.RLIM_INFINITY))\n"
        "for k in range(5): file.write(AlertLevel.INFO, 'k', 'x' * 50, k, k)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10000, resource.RLIM_INFINITY))\n"
        "file.write(AlertLevel.INFO, 'k', 'after', 9, 9)\n"
        "print(file.written, file.lost)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    written, lost = map(int, done.stdout.split())
    assert written + lost == 6
    assert lost >= 3
    found = texts(follow(path))
    assert found[-1] == "after"
    assert len(found) == written


def test_threads_may_read_while_a_writer_writes(tmp_path) -> None:
    path = tmp_path / "alerts.ndjson"
    file = appending(path, str, "t")
    tail, found = follow(path), []
    thread = threading.Thread(target=lambda: [put(file, str(k)) for k in range(3000)])
    thread.start()
    while thread.is_alive():
        found += texts(tail)
    found += texts(tail)
    assert found == [str(k) for k in range(3000)]


@pytest.mark.parametrize("line", [b"", b"[]", b"{}", b'{"ts": "x"}', b"\xff\xfe", b"null"])
def test_a_line_that_is_no_alert_is_none(line: bytes) -> None:
    assert read_line(line) is None
