"""The first layer on inputs of 0 and 1: count the ones, then compute the layer from the counts.

Tiles, blocks of neurons, ranges and the rule of the bias are those of `fused`.
"""

import pykokkos as pk


@pk.workunit
def count_edges(
    m: pk.TeamMember,
    x: pk.View3D[pk.uint8],
    ranges: pk.View3D[pk.uint8],
    index,
    layer: int,
    buffer: int,
    widest: int,
    blocks: int,
    width: int,
    parts: int,
    outputs: int,
    fan_in: int,
    lanes: int,
):
    """Count the inputs of each output neuron of a first layer that are 1; the others are 0.

    x: tiles of bytes, with two buffers as the tiles of activations; fan_in: at most 255
    ranges: of the counts, as of activations; a part without neurons has 255 and 0
    """
    tile: int = m.league_rank() // blocks
    first: int = (m.league_rank() % blocks) * width
    count: int = width
    if first + count > outputs:
        count = outputs - first
    source: int = buffer * widest
    target: int = widest - source + first
    row: pk.int64 = layer
    row *= outputs
    row += first

    def neuron(j: int):
        n: pk.int64 = row + j

        def lane(v: int):
            ones: pk.uint8 = 0
            for k in range(fan_in):
                i: pk.int64 = index[n][k]
                ones += x[tile][source + i][v]
            x[tile][target + j][v] = ones

        pk.parallel_for(pk.ThreadVectorRange(m, lanes), lane)

    pk.parallel_for(pk.TeamThreadRange(m, count), neuron)
    m.team_barrier()

    def part(p: int):
        share: int = (count + parts - 1) // parts
        end: int = p * share + share
        if end > count:
            end = count
        entry: int = m.league_rank() * parts + p

        def range_lane(v: int):
            smallest: pk.uint8 = 255
            largest: pk.uint8 = 0
            for j in range(p * share, end):
                y: pk.uint8 = x[tile][target + j][v]
                if y < smallest:
                    smallest = y
                if y > largest:
                    largest = y
            ranges[entry][0][v] = smallest
            ranges[entry][1][v] = largest

        pk.parallel_for(pk.ThreadVectorRange(m, lanes), range_lane)

    pk.parallel_for(pk.TeamThreadRange(m, parts), part)


@pk.workunit
def fused_counts(
    m: pk.TeamMember,
    x: pk.View3D[pk.uint8],
    a,
    ranges,
    weight,
    bias,
    next_index,
    next_weight,
    next_bias,
    zero,
    unbiased,
    low,
    ymax,
    layer: int,
    next_layer: int,
    depth: int,
    count_offset: int,
    buffer: int,
    widest: int,
    blocks: int,
    width: int,
    parts: int,
    outputs: int,
    next_fan_in: int,
    lanes: int,
):
    """y = min(max(x W + b, low), ymax) for a first layer of one weight, from the output of
    `count_edges`; then `depth` more layers, computed as in `fused.fused_equal` while the tile is
    in cache.

    x: the counts, [tile][count_offset + neuron][lane]
    weight: its product with each possible count must equal the sum of that number of weights
    next_index, next_weight, next_bias, next_layer, next_fan_in: of the layers that follow, which
    have the same number of outputs
    buffer: the first layer writes the other one
    """
    tile: int = m.league_rank() // blocks
    first: int = (m.league_rank() % blocks) * width
    count: int = width
    if first + count > outputs:
        count = outputs - first
    begin: int = (1 - buffer) * widest + first
    start: pk.int64 = layer
    start *= outputs
    start += first

    def activate(j: int):
        b: pk.cpp_auto = bias[start + j]

        def lane(v: int):
            z: pk.cpp_auto = weight * x[tile][count_offset + first + j][v]
            if z != unbiased:
                z += b
            if z < low:
                z = low
            if z > ymax:
                z = ymax
            a[tile][begin + j][v] = z

        pk.parallel_for(pk.ThreadVectorRange(m, lanes), lane)

    pk.parallel_for(pk.TeamThreadRange(m, count), activate)
    m.team_barrier()
    for step in range(depth):
        source: int = ((buffer + 1 + step) % 2) * widest
        target: int = widest - source + first
        row: pk.int64 = next_layer + step
        row *= outputs
        row += first

        def neuron(j: int):
            n: pk.int64 = row + j
            b: pk.cpp_auto = next_bias[n]

            def lane(v: int):
                z: pk.cpp_auto = zero
                for k in range(next_fan_in):
                    i: pk.int64 = next_index[n][k]
                    z += a[tile][source + i][v]
                z *= next_weight
                if z != unbiased:
                    z += b
                if z < low:
                    z = low
                if z > ymax:
                    z = ymax
                a[tile][target + j][v] = z

            pk.parallel_for(pk.ThreadVectorRange(m, lanes), lane)

        pk.parallel_for(pk.TeamThreadRange(m, count), neuron)
        m.team_barrier()
    last: int = ((buffer + 1 + depth) % 2) * widest + first

    def part(p: int):
        share: int = (count + parts - 1) // parts
        end: int = p * share + share
        if end > count:
            end = count
        entry: int = m.league_rank() * parts + p

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
