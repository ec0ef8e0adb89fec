"""Y' = min(max(Y W + b, low), ymax) on a CPU, sparse times sparse, row by row.

The algorithm is Gustavson's (ACM TOMS 4(3), 1978) with a dense accumulator: a row of Z is the sum
of rows of W, each times a nonzero of Y. Terms are added in ascending order of the input neuron.
Then bias and ReLU are applied to the accumulator as a vector, and its nonzeros are compacted.

It is faster than `spgemm.multiply` if a column has few nonzeros, as that would spend its time on
starting lists, or if there are many edges.

All parameters without annotation have one type in a launch, float32 or float64, except `windex`,
which has any integer type.
"""

import pykokkos as pk


@pk.workunit
def multiply_rows(
    m: pk.TeamMember,
    ystart: pk.View1D[pk.int64],
    yindex: pk.View1D[pk.uint32],
    yvalue,
    wstart: pk.View1D[pk.int64],
    windex,
    wvalue,
    bias,
    zstart: pk.View1D[pk.int64],
    zindex: pk.View1D[pk.uint32],
    zvalue,
    first_row: pk.View1D[pk.int32],
    first_entry: pk.View1D[pk.int64],
    accumulator,
    activated,
    zero,
    low,
    ymax,
    outputs: int,
):
    """Compute the rows first_row[w] to first_row[w + 1] - 1, for each team w.

    ystart, yindex, yvalue: Y as CSR, columns ascending
    wstart, windex, wvalue: W as CSR, by input neuron
    bias: added to the sums that are not zero
    zstart, zindex, zvalue: output; the nonzeros of row r of team w begin at zstart[r + w] and end
    at zstart[r + w + 1]
    first_entry: where the first row of each team begins
    accumulator, activated: a work row for each team; the accumulator is zero before and after
    """
    worker: int = m.league_rank()
    first: int = first_row[worker]
    last: int = first_row[worker + 1]
    o: pk.int64 = first_entry[worker]
    for row in range(first, last):
        zstart[row + worker] = o
        e: pk.int64 = ystart[row]
        end: pk.int64 = ystart[row + 1]
        if e < end:
            while e < end:
                y: pk.cpp_auto = yvalue[e]
                q: pk.int64 = wstart[yindex[e]]
                stop: pk.int64 = wstart[yindex[e] + 1]
                while q < stop:
                    accumulator[worker][int(windex[q])] += y * wvalue[q]
                    q += 1
                e += 1

            def activate(v: int):
                z: pk.cpp_auto = accumulator[worker][v]
                accumulator[worker][v] = zero
                if z != 0.0:
                    z += bias[v]
                if z < low:
                    z = low
                if z > ymax:
                    z = ymax
                activated[worker][v] = z

            pk.parallel_for(pk.ThreadVectorRange(m, outputs), activate)
            for j in range(outputs):
                z: pk.cpp_auto = activated[worker][j]
                if z != 0.0:
                    zindex[o] = j
                    zvalue[o] = z
                    o += 1
    zstart[last + worker] = o
