"""Magnitude pruning of networks: the weights to keep and the pruning schedule."""
