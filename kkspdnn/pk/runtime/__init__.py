"""Kokkos in this process, and launches of compiled workunits."""
