"""Compare the fused workunit with a hand-written kernel, and both with the cache bandwidth."""
