"""A trade from its entry to its close: exits, fills, and trades that were only followed."""
