"""Layers on tiles of input rows, several output neurons at a time.

`fused` loads an activation for each edge. If output neurons have the same inputs, this workunit
loads an activation once for eight of them. The rest is as in `fused`.
"""

import pykokkos as pk


@pk.workunit
def fused_groups(
    m: pk.TeamMember,
    a,
    ranges,
    start: pk.View1D[pk.int64],
    size: pk.View1D[pk.int32],
    first_output: pk.View1D[pk.int32],
    index,
    value,
    bias,
    zero,
    unbiased,
    low,
    ymax,
    layer: int,
    depth: int,
    buffer: int,
    widest: int,
    blocks: int,
    width: int,
    parts: int,
    outputs: int,
    groups: int,
    lanes: int,
):
    """y = min(max(x W + b, low), ymax) for groups of 8 consecutive output neurons with the same
    inputs and any weights.

    Group g of a layer has size[r] inputs, with r = layer * groups + g: input index[start[r] + k]
    has weight value[start[r] + k][j] for output neuron first_output[r] + j. Groups may overlap;
    then they compute the same output. A team computes `width` groups of a tile. parts > 0 requires
    blocks = 1.
    """
    tile: int = m.league_rank() // blocks
    first: int = (m.league_rank() % blocks) * width
    count: int = width
    if first + count > groups:
        count = groups - first
    for step in range(depth):
        source: int = ((buffer + step) % 2) * widest
        target: int = widest - source
        row: pk.int64 = layer + step
        row *= groups
        row += first
        neurons: pk.int64 = layer + step
        neurons *= outputs

        def group(j: int):
            g: pk.int64 = row + j
            begin: pk.int64 = start[g]
            inputs: int = size[g]
            n: int = first_output[g]
            b: pk.int64 = neurons + n

            def lane(v: int):
                z0: pk.cpp_auto = zero
                z1: pk.cpp_auto = zero
                z2: pk.cpp_auto = zero
                z3: pk.cpp_auto = zero
                z4: pk.cpp_auto = zero
                z5: pk.cpp_auto = zero
                z6: pk.cpp_auto = zero
                z7: pk.cpp_auto = zero
                for k in range(inputs):
                    i: pk.int64 = index[begin + k]
                    x: pk.cpp_auto = a[tile][source + i][v]
                    z0 += value[begin + k][0] * x
                    z1 += value[begin + k][1] * x
                    z2 += value[begin + k][2] * x
                    z3 += value[begin + k][3] * x
                    z4 += value[begin + k][4] * x
                    z5 += value[begin + k][5] * x
                    z6 += value[begin + k][6] * x
                    z7 += value[begin + k][7] * x
                if z0 != unbiased:
                    z0 += bias[b]
                if z0 < low:
                    z0 = low
                if z0 > ymax:
                    z0 = ymax
                a[tile][target + n][v] = z0
                if z1 != unbiased:
                    z1 += bias[b + 1]
                if z1 < low:
                    z1 = low
                if z1 > ymax:
                    z1 = ymax
                a[tile][target + n + 1][v] = z1
                if z2 != unbiased:
                    z2 += bias[b + 2]
                if z2 < low:
                    z2 = low
                if z2 > ymax:
                    z2 = ymax
                a[tile][target + n + 2][v] = z2
                if z3 != unbiased:
                    z3 += bias[b + 3]
                if z3 < low:
                    z3 = low
                if z3 > ymax:
                    z3 = ymax
                a[tile][target + n + 3][v] = z3
                if z4 != unbiased:
                    z4 += bias[b + 4]
                if z4 < low:
                    z4 = low
                if z4 > ymax:
                    z4 = ymax
                a[tile][target + n + 4][v] = z4
                if z5 != unbiased:
                    z5 += bias[b + 5]
                if z5 < low:
                    z5 = low
                if z5 > ymax:
                    z5 = ymax
                a[tile][target + n + 5][v] = z5
                if z6 != unbiased:
                    z6 += bias[b + 6]
                if z6 < low:
                    z6 = low
                if z6 > ymax:
                    z6 = ymax
                a[tile][target + n + 6][v] = z6
                if z7 != unbiased:
                    z7 += bias[b + 7]
                if z7 < low:
                    z7 = low
                if z7 > ymax:
                    z7 = ymax
                a[tile][target + n + 7][v] = z7

            pk.parallel_for(pk.ThreadVectorRange(m, lanes), lane)

        pk.parallel_for(pk.TeamThreadRange(m, count), group)
        m.team_barrier()

    last: int = ((buffer + depth) % 2) * widest

    def part(p: int):
        share: int = (outputs + parts - 1) // parts
        end: int = p * share + share
        if end > outputs:
            end = outputs
        entry: int = tile * parts + p

        def range_lane(v: int):
            smallest: pk.cpp_auto = ymax
            largest: pk.cpp_auto = low
            for j in range(p * share, end):
                y: pk.cpp_auto = a[tile][last + j][v]
                if y < smallest:
                    smallest = y
                if y > largest:
                    largest = y
            ranges[entry][0][v] = smallest
            ranges[entry][1][v] = largest

        pk.parallel_for(pk.ThreadVectorRange(m, lanes), range_lane)

    pk.parallel_for(pk.TeamThreadRange(m, parts), part)
