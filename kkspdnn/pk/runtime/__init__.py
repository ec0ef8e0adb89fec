"""Kokkos in this process, and compiled workunits that it runs."""
