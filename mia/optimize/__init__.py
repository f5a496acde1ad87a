"""Search over settings whose outcome is held against the number of trials it took."""
