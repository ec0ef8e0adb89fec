"""The kernels of the engines as PyKokkos workunits.

Python imports this folder as `kkspdnn.workunits`: in the repository through a symbolic link inside
the package, in a wheel as an ordinary subpackage. If PyKokkos is not installed, the call below
provides the module `pykokkos` from the built-in compiler.
"""

from kkspdnn.pk import provide_pykokkos

provide_pykokkos()
