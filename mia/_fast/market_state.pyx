"""Market state: all kernels composed."""
