"""Plain-Python twins of the kernels, written from the method and from nothing else."""
