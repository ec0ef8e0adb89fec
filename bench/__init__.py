"""Benchmarks of kkspdnn and of other implementations; their records are in `results/`."""
