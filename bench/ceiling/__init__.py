"""How near the fused workunit comes to a kernel written by hand, and both to the caches."""
