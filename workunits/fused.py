"""Layers on tiles of input rows: gather, multiply, add, bias and ReLU, one or more layers a launch.

Activations live in tiles of two sides, `a[tile][side * widest + neuron][lane]`, one input row a
lane: a layer reads one side and writes the other. So one index of the fan-in serves a whole tile,
every load is contiguous, and a tile stays in cache from layer to layer. Lanes are vector lanes:
neighbouring threads on a GPU, SIMD on a CPU. A team takes one tile and `width` output neurons; the
league is tiles times blocks of neurons.

`depth` layers, from number `layer` of those in index, value and bias, follow one another in a
launch; more than one needs blocks = 1, because teams do not wait for each other, and as many
outputs as inputs. Output neurons that have the same inputs should be neighbours: all but the first
find them in the L1 cache. Two sides have at most 2^31 - 1 neurons; the neurons of a stack of layers
may be more, so their numbers are 64-bit.

Parameters without annotation take their types from the launch: a, value, weight, bias, zero,
unbiased, low and ymax are float32 or float64 together, index is any whole number. A @pk.function
has fixed types, so bias, ReLU and limit are written out in each.

The bias goes to all sums but `unbiased`. That is 0 where it goes to nonzero sums only, as the
Sparse DNN Graph Challenge defines it (Kepner et al., HPEC 2019), so that a row of zeros stays a row
of zeros; and NaN, which no sum equals, where it goes to all. low is 0, or minus infinity where
there is no ReLU.
"""

import pykokkos as pk


@pk.workunit
def fused_fan_in(
    m: pk.TeamMember,
    a,
    index,
    value,
    bias,
    zero,
    unbiased,
    low,
    ymax,
    layer: int,
    depth: int,
    side: int,
    widest: int,
    blocks: int,
    width: int,
    outputs: int,
    fan_in: int,
    lanes: int,
):
    """y = min(max(x W + b, low), ymax) where every output neuron has `fan_in` edges.

    index, value: row layer * outputs + n holds the edges of output neuron n
    """
    tile: int = m.league_rank() // blocks
    first: int = (m.league_rank() % blocks) * width
    count: int = width
    if first + count > outputs:
        count = outputs - first
    for step in range(depth):
        source: int = ((side + step) % 2) * widest
        target: int = widest - source + first
        row: pk.int64 = layer + step
        row *= outputs
        row += first

        def neuron(j: int):
            n: pk.int64 = row + j
            b: pk.cpp_auto = bias[n]

            def lane(v: int):
                z: pk.cpp_auto = zero
                for k in range(fan_in):
                    i: pk.int64 = index[n][k]
                    z += value[n][k] * a[tile][source + i][v]
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


@pk.workunit
def fused_equal(
    m: pk.TeamMember,
    a,
    index,
    weight,
    bias,
    zero,
    unbiased,
    low,
    ymax,
    layer: int,
    depth: int,
    side: int,
    widest: int,
    blocks: int,
    width: int,
    outputs: int,
    fan_in: int,
    lanes: int,
):
    """y = min(max(x W + b, low), ymax) where every output neuron has `fan_in` edges and all weights
    are equal: the inputs are added up, and multiplied once.

    With a weight that is a power of two every sum is, bit for bit, that of the products.
    """
    tile: int = m.league_rank() // blocks
    first: int = (m.league_rank() % blocks) * width
    count: int = width
    if first + count > outputs:
        count = outputs - first
    for step in range(depth):
        source: int = ((side + step) % 2) * widest
        target: int = widest - source + first
        row: pk.int64 = layer + step
        row *= outputs
        row += first

        def neuron(j: int):
            n: pk.int64 = row + j
            b: pk.cpp_auto = bias[n]

            def lane(v: int):
                z: pk.cpp_auto = zero
                for k in range(fan_in):
                    i: pk.int64 = index[n][k]
                    z += a[tile][source + i][v]
                z *= weight
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


@pk.workunit
def fused_csr(
    m: pk.TeamMember,
    a,
    start: pk.View1D[pk.int64],
    index,
    value,
    bias,
    zero,
    unbiased,
    low,
    ymax,
    layer: int,
    depth: int,
    side: int,
    widest: int,
    blocks: int,
    width: int,
    outputs: int,
    lanes: int,
):
    """y = min(max(x W + b, low), ymax) for any fan-in: output neuron n of a layer has the edges
    start[r] to start[r + 1], r = layer * outputs + n."""
    tile: int = m.league_rank() // blocks
    first: int = (m.league_rank() % blocks) * width
    count: int = width
    if first + count > outputs:
        count = outputs - first
    for step in range(depth):
        source: int = ((side + step) % 2) * widest
        target: int = widest - source + first
        row: pk.int64 = layer + step
        row *= outputs
        row += first

        def neuron(j: int):
            n: pk.int64 = row + j
            b: pk.cpp_auto = bias[n]
            begin: pk.int64 = start[n]
            end: pk.int64 = start[n + 1]

            def lane(v: int):
                z: pk.cpp_auto = zero
                e: pk.int64 = begin
                while e < end:
                    i: pk.int64 = index[e]
                    z += value[e] * a[tile][source + i][v]
                    e += 1
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


@pk.workunit
def count_edges(
    m: pk.TeamMember,
    x: pk.View3D[pk.uint8],
    index,
    layer: int,
    side: int,
    widest: int,
    blocks: int,
    width: int,
    outputs: int,
    fan_in: int,
    lanes: int,
):
    """Of a first layer's edges to each output neuron, how many come from inputs that are 1; others
    are 0. x is tiles of bytes, of two sides as those of activations; fan_in is at most 255."""
    tile: int = m.league_rank() // blocks
    first: int = (m.league_rank() % blocks) * width
    count: int = width
    if first + count > outputs:
        count = outputs - first
    source: int = side * widest
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


@pk.workunit
def fused_counts(
    m: pk.TeamMember,
    x: pk.View3D[pk.uint8],
    a,
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
    counted: int,
    side: int,
    widest: int,
    blocks: int,
    width: int,
    outputs: int,
    next_fan_in: int,
    lanes: int,
):
    """y = min(max(x W + b, low), ymax) of a layer whose weights are all equal, from the counts
    x[tile][counted + neuron][lane] of `count_edges`. `depth` more layers follow, of as many outputs
    and as `fused_equal` takes them, while the tile is in cache.

    The first result goes to the other side than `side`. `weight` times any count must be what
    adding it up one by one gives.
    """
    tile: int = m.league_rank() // blocks
    first: int = (m.league_rank() % blocks) * width
    count: int = width
    if first + count > outputs:
        count = outputs - first
    begin: int = (1 - side) * widest + first
    start: pk.int64 = layer
    start *= outputs
    start += first

    def activate(j: int):
        b: pk.cpp_auto = bias[start + j]

        def each(v: int):
            z: pk.cpp_auto = weight * x[tile][counted + first + j][v]
            if z != unbiased:
                z += b
            if z < low:
                z = low
            if z > ymax:
                z = ymax
            a[tile][begin + j][v] = z

        pk.parallel_for(pk.ThreadVectorRange(m, lanes), each)

    pk.parallel_for(pk.TeamThreadRange(m, count), activate)
    m.team_barrier()
    for step in range(depth):
        source: int = ((side + 1 + step) % 2) * widest
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
