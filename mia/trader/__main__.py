"""``python -m mia.trader``."""

from mia.trader import main

if __name__ == "__main__":
    main()
