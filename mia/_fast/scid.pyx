"""Sierra Chart intraday records."""
