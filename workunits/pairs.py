"""Layers on tiles of input rows, two output neurons and one block of inputs at a time.

The inputs of a tile do not fit into the L1 cache. `fused` is fast where neighbouring output neurons
have the same inputs, as in a RadiX-Net. In a pruned network they have not, and `fused` loads most
activations from the L2 cache. This workunit adds the edges from one block of inputs, most of which
fits, for many output neurons before those of the next block. Two neurons at a time hide the latency
of additions. The terms of a sum are added in the same order. The rest is as in `fused`.
"""

import pykokkos as pk


@pk.workunit
def fused_pairs(
    m: pk.TeamMember,
    a,
    ranges,
    start: pk.View1D[pk.int64],
    size: pk.View1D[pk.int32],
    neuron: pk.View2D[pk.int32],
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
    units: int,
    unit_outputs: int,
    input_blocks: int,
    lanes: int,
):
    """y = min(max(x W + b, low), ymax) for output neurons of any fan-in.

    A unit is `unit_outputs` consecutive output neurons, an even number, or the rest of them. It has
    a list of pairs of its neurons for each block of inputs. Pair p of block b of unit u is

        r = layer * input_blocks * (number of pairs in all units)
            + input_blocks * u * unit_outputs / 2 + b * (number of pairs in the unit) + p

    and has size[r] rows of edges from start[r] on: index[e][0] and value[e][0] are an edge of
    output neuron neuron[r][0], and [1] of neuron[r][1]. The shorter list of a pair is padded with
    edges of weight 0. If the number of neurons is odd, one pair has the same neuron twice.

    A team computes `width` units of a tile. parts > 0 requires blocks = 1.
    """
    tile: int = m.league_rank() // blocks
    first: int = (m.league_rank() % blocks) * width
    count: int = width
    if first + count > units:
        count = units - first
    for step in range(depth):
        source: int = ((buffer + step) % 2) * widest
        target: int = widest - source
        neurons: pk.int64 = layer + step
        neurons *= outputs
        lists: pk.int64 = layer + step
        lists *= (outputs + 1) // 2
        lists *= input_blocks

        def unit(j: int):
            u: int = first + j
            filled: int = unit_outputs
            if (u + 1) * unit_outputs > outputs:
                filled = outputs - u * unit_outputs
            pairs: int = (filled + 1) // 2
            r: pk.int64 = u
            r *= unit_outputs // 2
            r *= input_blocks
            r += lists
            for block in range(input_blocks):
                for p in range(pairs):
                    begin: pk.int64 = start[r + p]
                    edges: int = size[r + p]
                    n0: int = neuron[r + p][0]
                    n1: int = neuron[r + p][1]

                    def lane(v: int):
                        z0: pk.cpp_auto = zero
                        z1: pk.cpp_auto = zero
                        if block > 0:
                            z0 = a[tile][target + n0][v]
                            z1 = a[tile][target + n1][v]
                        for k in range(edges):
                            i0: pk.int64 = index[begin + k][0]
                            i1: pk.int64 = index[begin + k][1]
                            z0 += value[begin + k][0] * a[tile][source + i0][v]
                            z1 += value[begin + k][1] * a[tile][source + i1][v]
                        if block == input_blocks - 1:
                            if z0 != unbiased:
                                z0 += bias[neurons + n0]
                            if z0 < low:
                                z0 = low
                            if z0 > ymax:
                                z0 = ymax
                            if z1 != unbiased:
                                z1 += bias[neurons + n1]
                            if z1 < low:
                                z1 = low
                            if z1 > ymax:
                                z1 = ymax
                        a[tile][target + n0][v] = z0
                        a[tile][target + n1][v] = z1

                    pk.parallel_for(pk.ThreadVectorRange(m, lanes), lane)

                r += pairs

        pk.parallel_for(pk.TeamThreadRange(m, count), unit)
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
