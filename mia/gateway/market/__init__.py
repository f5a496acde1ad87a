"""The tape, market time, and what is derived from them."""
