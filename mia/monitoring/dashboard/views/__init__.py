"""What the pages beside the main screen show, read from what the trader and its runs left."""
