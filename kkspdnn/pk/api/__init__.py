"""The part of PyKokkos's API that a program calls outside its workunits."""
