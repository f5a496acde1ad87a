"""Ranks, medians and reference rings."""
