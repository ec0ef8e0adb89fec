"""In the place of pykokkos-base."""
