"""Levels and their confluence."""
