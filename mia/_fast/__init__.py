"""Compiled kernels: loops per tick or per bar, over memory that C owns."""
