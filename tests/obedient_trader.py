"""A trader without a market: it shows frames and obeys the kill command, in a real state directory.

Arguments: state directory, mode.
"""

import sys
import time
from pathlib import Path

from frame_cases import ShownFrames, frame

from mia.config.limits import effective_limits
from mia.data.journal import Journal
from mia.data.state_directory import StateDirectory
from mia.execution.kill_commands import KillCommands, KillStore
from mia.execution.kill_switch import KillSwitch


def main(state: Path, mode: str) -> None:
    directory = StateDirectory.open(state)
    directory.write_run(account="DU1234567", host="127.0.0.1", port=1, client_id=5, started=1)
    journal = Journal.open(directory.journal_path, clock=time.time_ns, reserve_bytes=0)
    store = KillStore(journal)
    switch = KillSwitch(effective_limits(mode, "conservative"), store.on_change)
    store.attach(switch)
    commands = KillCommands(directory.path, store)
    commands.listen()
    commands.start(1)
    seq = 0
    with ShownFrames(state) as shown:
        print("ready", flush=True)
        while True:
            seq += 1
            reasons = [rule.value for rule in switch.causes]
            shown.show(
                frame(seq, mode=mode, state=switch.state.name, state_reasons=reasons, held=None)
            )
            for command in commands.poll(time.time_ns()):
                commands.done(f"{command.name} done, no position")
            time.sleep(0.05)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
