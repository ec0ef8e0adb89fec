"""Balanced Sparsity on a real network: its accuracy, and its speed."""
