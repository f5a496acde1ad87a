"""A trading cycle on a live connection: feeds in, orders out, and what a restart takes back."""
