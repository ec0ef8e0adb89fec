"""ReLU with an upper limit on a CSR matrix, in two passes because its zeros are removed.

low: 0, or minus infinity where there is no ReLU and everything but zeros stays.

Parameters without annotation are float32 or float64 together, as the launch passes them.
"""

import pykokkos as pk


@pk.workunit
def relu_symbolic(
    row: int,
    start: pk.View1D[pk.int64],
    value,
    low,
    size: pk.View1D[pk.int64],
):
    """size[row] = entries of the row that stay: those above `low` that are not zero."""
    stay: pk.int64 = 0
    e: pk.int64 = start[row]
    while e < start[row + 1]:
        if value[e] > low and value[e] != 0.0:
            stay += 1
        e += 1
    size[row] = stay


@pk.workunit
def relu_numeric(
    row: int,
    zstart: pk.View1D[pk.int64],
    zindex: pk.View1D[pk.uint32],
    zvalue,
    ystart: pk.View1D[pk.int64],
    yindex: pk.View1D[pk.uint32],
    yvalue,
    low,
    ymax,
):
    """Copy what stays, limited to ymax."""
    out: pk.int64 = ystart[row]
    e: pk.int64 = zstart[row]
    while e < zstart[row + 1]:
        v: pk.cpp_auto = zvalue[e]
        if v > low and v != 0.0:
            if v > ymax:
                v = ymax
            yindex[out] = zindex[e]
            yvalue[out] = v
            out += 1
        e += 1
