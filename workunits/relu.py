"""ReLU with an upper limit on a CSR matrix, in two passes because zeros are not stored.

low: 0; or minus infinity for a layer without ReLU, which keeps all values except zeros

All parameters without annotation have one type in a launch, float32 or float64.
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
    """size[row] = number of entries of the row that are above `low` and not zero."""
    kept: pk.int64 = 0
    e: pk.int64 = start[row]
    while e < start[row + 1]:
        if value[e] > low and value[e] != 0.0:
            kept += 1
        e += 1
    size[row] = kept


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
    """Copy the entries above `low` that are not zero, limited to ymax."""
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
