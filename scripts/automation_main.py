"""The trader from a checkout: ``python scripts/automation_main.py --config production``."""

from mia.trader import main

if __name__ == "__main__":
    main()
