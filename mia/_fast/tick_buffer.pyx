"""Circular tick buffer."""
