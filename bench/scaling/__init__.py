"""How time falls with ranks: measured parts and runs, a model of both, and what it predicts."""
