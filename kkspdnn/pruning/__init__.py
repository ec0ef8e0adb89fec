"""Pruning of dense networks: which weights stay, the schedule, and the files they come from."""

from kkspdnn.pruning.masks import METHODS, Method
from kkspdnn.pruning.prune import prune

__all__ = ["METHODS", "Method", "prune"]
