"""Market profile."""
