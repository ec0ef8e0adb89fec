"""The bias of the Sparse DNN Graph Challenge: added to the nonzero entries of Z only.

All parameters without annotation have one type in a launch, float32 or float64.
"""

import pykokkos as pk


@pk.workunit
def add_bias(
    row: int,
    start: pk.View1D[pk.int64],
    index: pk.View1D[pk.uint32],
    value,
    bias,
):
    """value[e] += bias[column of e] for every nonzero entry e of a CSR row."""
    e: pk.int64 = start[row]
    while e < start[row + 1]:
        if value[e] != 0.0:
            value[e] += bias[index[e]]
        e += 1
