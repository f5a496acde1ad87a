"""Volume at price by side."""
