"""Z = Y W, CSR times CSR, row by row (Gustavson, ACM TOMS 4(3), 1978), in two passes.

The symbolic pass counts the entries of each row of Z, a scan turns these sizes into offsets, and
the numeric pass writes columns, ascending, and values. Worker w computes the rows w, w + workers,
and so on. It has a dense row of W's width as accumulator, and a stamp for each column: 1 + the last
row of Z with an entry there. All parameters without annotation have one type in a launch, float32
or float64.
"""

import pykokkos as pk


@pk.workunit
def spgemm_symbolic(
    worker: int,
    computed_edges: pk.Acc[pk.int64],
    ystart: pk.View1D[pk.int64],
    yindex: pk.View1D[pk.uint32],
    wstart: pk.View1D[pk.int64],
    windex: pk.View1D[pk.uint32],
    size: pk.View1D[pk.int64],
    stamp: pk.View2D[pk.int32],
    rows: int,
    workers: int,
):
    """size[r] = number of entries of row r of Z; the reduction sums up the multiplications.

    stamp: (workers, columns of W), zero at the launch
    """
    row: int = worker
    while row < rows:
        entries: pk.int64 = 0
        p: pk.int64 = ystart[row]
        while p < ystart[row + 1]:
            q: pk.int64 = wstart[yindex[p]]
            end: pk.int64 = wstart[yindex[p] + 1]
            computed_edges += end - q
            while q < end:
                if stamp[worker][windex[q]] != row + 1:
                    stamp[worker][windex[q]] = row + 1
                    entries += 1
                q += 1
            p += 1
        size[row] = entries
        row += workers


@pk.workunit
def spgemm_numeric(
    worker: int,
    ystart: pk.View1D[pk.int64],
    yindex: pk.View1D[pk.uint32],
    yvalue,
    wstart: pk.View1D[pk.int64],
    windex: pk.View1D[pk.uint32],
    wvalue,
    zstart: pk.View1D[pk.int64],
    zindex: pk.View1D[pk.uint32],
    zvalue,
    stamp: pk.View2D[pk.int32],
    accumulator,
    rows: int,
    workers: int,
    columns: int,
):
    """Write zindex and zvalue.

    stamp, accumulator: (workers, columns), zero at the launch

    A sum that cancels to zero is an entry of Z. The bias skips it and the ReLU removes it.
    """
    row: int = worker
    while row < rows:
        p: pk.int64 = ystart[row]
        while p < ystart[row + 1]:
            y: pk.cpp_auto = yvalue[p]
            q: pk.int64 = wstart[yindex[p]]
            end: pk.int64 = wstart[yindex[p] + 1]
            while q < end:
                accumulator[worker][windex[q]] += y * wvalue[q]
                stamp[worker][windex[q]] = row + 1
                q += 1
            p += 1
        out: pk.int64 = zstart[row]
        if out < zstart[row + 1]:
            for j in range(columns):
                if stamp[worker][j] == row + 1:
                    zindex[out] = j
                    zvalue[out] = accumulator[worker][j]
                    accumulator[worker][j] = 0.0
                    out += 1
        row += workers


@pk.workunit
def offsets(
    i: int,
    total: pk.Acc[pk.int64],
    last: bool,
    size: pk.View1D[pk.int64],
    start: pk.View1D[pk.int64],
):
    """start[i + 1] = size[0] + … + size[i]: a scan. The caller sets start[0] to zero."""
    total += size[i]
    if last:
        start[i + 1] = total
