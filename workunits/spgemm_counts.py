"""The active rows of Y, which have entries, and the multiplications of Y W, for `spgemm_team`."""

import pykokkos as pk


@pk.workunit
def list_active_rows(
    i: int,
    count: pk.Acc[pk.int64],
    last: bool,
    start: pk.View1D[pk.int64],
    active: pk.View1D[pk.int32],
):
    """List the rows of a CSR matrix that have entries, in ascending order: a scan, whose total is
    their number."""
    if start[i] < start[i + 1]:
        if last:
            active[count] = i
        count += 1


@pk.workunit
def count_multiplications(
    i: int,
    computed_edges: pk.Acc[pk.int64],
    yindex: pk.View1D[pk.uint32],
    wstart: pk.View1D[pk.int32],
    entries: pk.int64,
    stride: pk.int64,
):
    """Sum up the multiplications of Y W: the entries of the rows of W at the entries of Y.

    Work item i takes the entries i, i + stride, and so on.
    """
    e: pk.int64 = i
    while e < entries:
        column: pk.int64 = yindex[e]
        computed_edges += wstart[column + 1] - wstart[column]
        e += stride
