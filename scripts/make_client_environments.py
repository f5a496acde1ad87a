"""Make one environment for each client library against which the simulated gateway is proven.

The libraries exclude one another (two of them bring the same module), and none is needed to run
the project, so each has a folder of its own. `MIA_CLIENT_ENVS` then names the folder of all.
"""

import subprocess
import sys
import venv
from pathlib import Path

ENVIRONMENTS = {
    "ib_insync": ("ib_insync==0.9.86", "eventkit==1.0.3"),
    "ib_async": ("ib_async==2.1.0",),
    "ibapi1019": ("nautilus-ibapi==10.19.4",),
    "ibapi1050": ("ibapi-stable==10.50.2",),
}


def make(folder: Path) -> None:
    for name, packages in ENVIRONMENTS.items():
        target = folder / name
        python = target / ("Scripts" if sys.platform == "win32" else "bin") / "python"
        if not python.exists():
            venv.create(target, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
        print(f"{target}: {', '.join(packages)}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} FOLDER")
    make(Path(sys.argv[1]))
