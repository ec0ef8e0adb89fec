"""Measurements beside those that a run makes of itself; their records are in `results/`."""
