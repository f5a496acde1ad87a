"""Battle Navale."""
