"""The kernels of the engines as PyKokkos workunits.

Python imports this folder as `kkspdnn.workunits`: in the repository through a symbolic link inside
the package, in a wheel as an ordinary subpackage.
"""

from kkspdnn.pk import language_as_pykokkos

with language_as_pykokkos():
    from kkspdnn.workunits import (
        bias,
        by_input,
        columns,
        compact,
        csr,
        csr_rows,
        dense_layer,
        first_layer,
        fused,
        groups,
        pairs,
        relu,
        spgemm,
        spgemm_counts,
        spgemm_rows,
        spgemm_team,
        tiles,
    )

__all__ = [
    "bias",
    "by_input",
    "columns",
    "compact",
    "csr",
    "csr_rows",
    "dense_layer",
    "first_layer",
    "fused",
    "groups",
    "pairs",
    "relu",
    "spgemm",
    "spgemm_counts",
    "spgemm_rows",
    "spgemm_team",
    "tiles",
]
