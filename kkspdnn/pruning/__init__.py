"""Pruning of dense networks: which weights stay, the schedule, and the files they come from."""
