"""``python -m mia.cli``, the same as ``mia``."""

from mia.cli import main

if __name__ == "__main__":
    main()
