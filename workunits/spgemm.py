"""Z = Y W, CSR times CSR, row by row (Gustavson, ACM TOMS 4(3), 1978), in two passes.

The symbolic pass finds the size of every row of Z, a scan turns sizes into offsets, and the
numeric pass fills columns, ascending, and values. Each worker takes every workers-th row and owns
one dense row of W's width: the accumulator, with a stamp that says which row of Z last touched
each column. Parameters without annotation are float32 or float64 together, as the launch passes
them.
"""

import pykokkos as pk


@pk.workunit
def spgemm_symbolic(
    worker: int,
    multiplied: pk.Acc[pk.int64],
    ystart: pk.View1D[pk.int64],
    yindex: pk.View1D[pk.uint32],
    wstart: pk.View1D[pk.int64],
    windex: pk.View1D[pk.uint32],
    size: pk.View1D[pk.int64],
    stamp: pk.View2D[pk.int32],
    rows: int,
    workers: int,
):
    """size[r] = entries of row r of Z; the sum is the number of multiplications.

    stamp (workers, columns of W) must be zero before.
    """
    row: int = worker
    while row < rows:
        found: pk.int64 = 0
        p: pk.int64 = ystart[row]
        while p < ystart[row + 1]:
            q: pk.int64 = wstart[yindex[p]]
            end: pk.int64 = wstart[yindex[p] + 1]
            multiplied += end - q
            while q < end:
                if stamp[worker][windex[q]] != row + 1:
                    stamp[worker][windex[q]] = row + 1
                    found += 1
                q += 1
            p += 1
        size[row] = found
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
    """Fill zindex and zvalue; stamp and accumulator (workers, columns) must be zero before.

    A sum that cancels to zero stays as an entry; the bias skips it and the ReLU removes it.
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
    """A scan of row sizes: start[i + 1] is the sum of size[0] to size[i]; start[0] is the
    caller's zero."""
    total += size[i]
    if last:
        start[i + 1] = total
