"""Records of runs and benchmarks: frozen dataclasses, written as JSON."""
