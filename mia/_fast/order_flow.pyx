"""Order-flow features."""
