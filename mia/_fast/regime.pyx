"""Market regime."""
