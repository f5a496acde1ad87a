"""The trader's screen in a terminal: what the frame says, in words that fit into 80 columns."""
