"""The journal is written before anything is sent, as the system's own calls show."""

import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

TRADER = """
import socket, sys
from pathlib import Path
from mia.data.journal import Journal

journal = Journal.open(Path(sys.argv[1]), clock=int, reserve_bytes=0)
wire = socket.create_connection(("127.0.0.1", int(sys.argv[2])))
for number in range(20):
    # Spelled out in the payload, so that the trace shows which event a page holds.
    journal.append("INTENT", {"ref": f"NOTED{number:03d}"}, ts=number, required=True)
    wire.sendall(f"SENT{number:03d}".encode())
"""


@pytest.mark.skipif(
    not shutil.which("strace") or os.environ.get("MIA_STRACE") == "0", reason="needs strace"
)
def test_every_intent_is_in_the_log_before_its_bytes_leave(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        received: list[bytes] = []

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                while data := connection.recv(4096):
                    received.append(data)

        thread = threading.Thread(target=serve)
        thread.start()
        trace = tmp_path / "trace"
        command = ["strace", "-f", "-s", "6000", "-e", "trace=pwrite64,sendto", "-o", trace]
        script = [sys.executable, "-c", TRADER, tmp_path / "journal.db"]
        child = subprocess.run(
            [*map(str, command + script), str(listener.getsockname()[1])],
            check=False,
            capture_output=True,
            text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )
        if "ptrace" in child.stderr:
            listener.close()
            pytest.skip("may not trace")
        thread.join()
    assert child.returncode == 0, child.stderr
    assert len(b"".join(received)) == 20 * len("SENT000")
    noted: set[str] = set()
    sent = 0
    for line in trace.read_text(errors="replace").splitlines():
        if "pwrite64" in line:
            noted.update(re.findall(r"NOTED(\d{3})", line))
        elif match := re.search(r"SENT(\d{3})", line):
            assert match[1] in noted, f"order {match[1]} left before it was written"
            sent += 1
    assert sent == 20
