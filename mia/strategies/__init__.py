"""From context to an accepted or rejected signal."""
