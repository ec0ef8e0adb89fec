"""The kernels as PyKokkos workunits, one file for each stage.

Python imports this folder as `kkspdnn.workunits`, through a symbolic link inside the package; a
wheel has it there only. Where PyKokkos is not installed, the line below lets the built-in compiler
take its name.
"""

from kkspdnn.pk import provide_pykokkos

provide_pykokkos()
