"""How much of PyKokkos's own code runs on the built-in compiler."""
