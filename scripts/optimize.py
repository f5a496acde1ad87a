"""Search from a checkout: ``python scripts/optimize.py --space FILE --data STORE``."""

import sys

from mia.cli import main

if __name__ == "__main__":
    sys.argv.insert(1, "optimize")
    main()
