"""The kernels, pure PyKokkos: one file a stage, nothing but workunits.

Where PyKokkos is not installed, the line below lets kkspdnn's own compiler stand in for it.
"""

from kkspdnn.pk import provide_pykokkos

provide_pykokkos()
