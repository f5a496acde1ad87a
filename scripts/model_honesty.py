"""Ask whether the model gate fools itself: ``python scripts/model_honesty.py --help``."""

from mia.cli.model_honesty_command import main

if __name__ == "__main__":
    main()
