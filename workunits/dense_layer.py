"""A layer with dense weights, such as the last one of a classifier, on tiles of a few input rows.

The lanes are output neurons: an activation is loaded once for all of them, and no index is. Terms
are added in ascending order of the input neuron as in `fused`, and a term of a weight of zero
changes no sum, so the outputs are the same.
"""

import pykokkos as pk


@pk.workunit
def fused_dense(
    m: pk.TeamMember,
    x,
    y,
    sums,
    value,
    bias,
    zero,
    unbiased,
    low,
    ymax,
    rows: int,
    teams: int,
    inputs: int,
    outputs: int,
    width: int,
    lanes: int,
):
    """y = min(max(x W + b, low), ymax) for a few rows and a block of `width` output neurons.

    Team i computes block i // teams, so that a thread keeps to a block and its weights stay in its
    cache. If `lanes` is a multiple of 4, the team computes rows 4 * (i % teams) to
    4 * (i % teams) + 3, and the sums of four rows hide the latency of additions. Otherwise it
    computes row i % teams.

    x: [tile][neuron][lane], with zeros in the lanes behind the last row
    y: [row][neuron], dense rows
    sums: [block][row][output neuron], a work array for the rows of whole tiles
    value: [block][input neuron][output neuron], the weights, padded with zeros to whole blocks of a
    multiple of the lanes of a SIMD register
    bias, unbiased, low, ymax: as in `fused`

    All parameters without annotation have one type in a launch, float32 or float64.
    """
    block: int = m.league_rank() // teams
    first: int = m.league_rank() % teams
    end: int = first + 1
    if lanes % 4 == 0:
        first *= 4
        end = first + 4
    if end > rows:
        end = rows
    tile: int = first // lanes
    v: int = first % lanes

    def four_rows(j: int):
        z0: pk.cpp_auto = zero
        z1: pk.cpp_auto = zero
        z2: pk.cpp_auto = zero
        z3: pk.cpp_auto = zero
        for k in range(inputs):
            w: pk.cpp_auto = value[block][k][j]
            z0 += x[tile][k][v] * w
            z1 += x[tile][k][v + 1] * w
            z2 += x[tile][k][v + 2] * w
            z3 += x[tile][k][v + 3] * w
        sums[block][first][j] = z0
        sums[block][first + 1][j] = z1
        sums[block][first + 2][j] = z2
        sums[block][first + 3][j] = z3

    def one_row(j: int):
        z: pk.cpp_auto = zero
        for k in range(inputs):
            z += x[tile][k][v] * value[block][k][j]
        sums[block][first][j] = z

    if first < rows:
        if lanes % 4 == 0:
            pk.parallel_for(pk.ThreadVectorRange(m, width), four_rows)
        else:
            pk.parallel_for(pk.ThreadVectorRange(m, width), one_row)

    left: int = block * width
    right: int = left + width
    if right > outputs:
        right = outputs
    for r in range(first, end):
        for n in range(left, right):
            total: pk.cpp_auto = sums[block][r][n - left]
            if total != unbiased:
                total += bias[n]
            if total < low:
                total = low
            if total > ymax:
                total = ymax
            y[r][n] = total
