"""Accuracy and speed of a real network that is pruned with Balanced Sparsity."""
