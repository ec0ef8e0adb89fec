"""The real PyKokkos: compiles and launches the workunits of the engines.

Workunits are printed as PyKokkos source in a form that g++ vectorizes, see
`codegen.lane_blocks`; it then translates them to C++, compiles and loads them.
"""
