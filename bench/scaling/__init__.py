"""Inference time against the number of ranks: measurements, a model, and its predictions."""
