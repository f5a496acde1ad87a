"""Rules alone and with the model, year by year: ``python scripts/model_walk.py --help``."""

from mia.cli.model_walk_command import main

if __name__ == "__main__":
    main()
