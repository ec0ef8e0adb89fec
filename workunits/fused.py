"""Layers on tiles of input rows: sparse matrix product, bias and ReLU in one kernel.

Activations are `a[tile][buffer * widest + neuron][lane]`. A tile has two buffers of `widest`
neurons, and a lane for each of its input rows. A layer reads one buffer and writes the other one.
So an index of the fan-in is loaded once for a tile, all loads are contiguous, and a tile stays in
cache from layer to layer. Lanes are vector lanes: adjacent threads on a GPU, SIMD lanes on a CPU.
A team computes `width` output neurons of one tile; the league has a team for each tile and each of
`blocks` blocks of neurons.

A launch computes `depth` consecutive layers, starting with layer `layer` of the group of layers in
index, value and bias. More than one layer requires blocks = 1, because teams do not wait for each
other, and square layers. Output neurons with the same inputs should be adjacent: the first one
brings the inputs into the L1 cache. Both buffers together have at most 2^31 - 1 neurons; a group
of layers may have more, so its row numbers have 64 bits.

A launch can also find the smallest and the largest output of each input row, while its tile is in
cache. A team divides its neurons, after the last layer, into `parts` parts: ranges[entry][0][lane]
is the smallest value of part p of team t, with entry = t * parts + p, and ranges[entry][1][lane]
the largest one. A part without neurons has ymax and low. parts = 0: ranges is not written.

The launch determines the types of parameters without annotation: a, ranges, value, weight, bias,
zero, unbiased, low and ymax are all float32 or all float64, index has any integer type. A
@pk.function has fixed types, so each kernel repeats the code of bias, ReLU, limit and ranges.

The bias is added to all sums that differ from `unbiased`. That is 0 if the bias is added to nonzero
sums only, as the Sparse DNN Graph Challenge defines it (Kepner et al., HPEC 2019), so that a row of
zeros stays a row of zeros; it is NaN, which differs from all sums, if the bias is added to all
sums. low is 0, or minus infinity for a layer without ReLU.
"""

import pykokkos as pk


@pk.workunit
def fused_fan_in(
    m: pk.TeamMember,
    a,
    ranges,
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
    fan_in: int,
    lanes: int,
):
    """y = min(max(x W + b, low), ymax) for output neurons of `fan_in` edges each.

    index, value: row layer * outputs + n has the edges of output neuron n. Rows may be longer than
    `fan_in`, so that they begin at a multiple of 16 bytes.
    """
    tile: int = m.league_rank() // blocks
    first: int = (m.league_rank() % blocks) * width
    count: int = width
    if first + count > outputs:
        count = outputs - first
    for step in range(depth):
        source: int = ((buffer + step) % 2) * widest
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
    last: int = ((buffer + depth) % 2) * widest + first

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


@pk.workunit
def fused_equal(
    m: pk.TeamMember,
    a,
    ranges,
    index,
    weight,
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
    fan_in: int,
    lanes: int,
):
    """y = min(max(x W + b, low), ymax) for output neurons of `fan_in` edges each, all of the same
    weight: the inputs are summed, and the sum is multiplied by the weight.

    If the weight is a power of two, the result is bit for bit the sum of the products.
    """
    tile: int = m.league_rank() // blocks
    first: int = (m.league_rank() % blocks) * width
    count: int = width
    if first + count > outputs:
        count = outputs - first
    for step in range(depth):
        source: int = ((buffer + step) % 2) * widest
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
    last: int = ((buffer + depth) % 2) * widest + first

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


@pk.workunit
def fused_csr(
    m: pk.TeamMember,
    a,
    ranges,
    start: pk.View1D[pk.int64],
    size: pk.View1D[pk.int32],
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
    lanes: int,
):
    """y = min(max(x W + b, low), ymax) for output neurons of any fan-in: neuron n of a layer has
    size[r] edges from start[r] on, with r = layer * outputs + n."""
    tile: int = m.league_rank() // blocks
    first: int = (m.league_rank() % blocks) * width
    count: int = width
    if first + count > outputs:
        count = outputs - first
    for step in range(depth):
        source: int = ((buffer + step) % 2) * widest
        target: int = widest - source + first
        row: pk.int64 = layer + step
        row *= outputs
        row += first

        def neuron(j: int):
            n: pk.int64 = row + j
            b: pk.cpp_auto = bias[n]
            begin: pk.int64 = start[n]
            edges: int = size[n]

            def lane(v: int):
                z: pk.cpp_auto = zero
                for k in range(edges):
                    i: pk.int64 = index[begin + k]
                    z += value[begin + k] * a[tile][source + i][v]
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
    last: int = ((buffer + depth) % 2) * widest + first

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
