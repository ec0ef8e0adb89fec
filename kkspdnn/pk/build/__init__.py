"""Compilers, Kokkos, the runtime library and the cache of everything that is compiled."""
