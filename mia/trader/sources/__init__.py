"""Where a run's data come from: feeds and their fallbacks, history, depth, option chains."""
