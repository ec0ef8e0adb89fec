"""Layers on tiles of a few input rows, input neuron by input neuron.

`fused` computes an output neuron after the other: it loads an activation for each edge, also one
that is zero in all rows. Here an activation is loaded once, and its products are added to the sums
of all output neurons that the input neuron has an edge to. Input neurons that are zero in all rows
of a tile are skipped. The sums of a block of output neurons fit into the L1 cache. Terms are added
in ascending order of the input neuron as in `fused`, and a term of a zero activation changes no
sum, so the outputs are the same.

Activations are x[tile][neuron][lane]; with one lane a tile is a dense row. All parameters without
annotation except `index` have one type in a launch, float32 or float64.
"""

import pykokkos as pk


@pk.workunit
def unpack_active(
    m: pk.TeamMember,
    x,
    y,
    zero,
    active: pk.View2D[pk.int32],
    count: pk.View2D[pk.int32],
    rows: int,
    neurons: int,
    width: int,
    tiles: int,
    lanes: int,
):
    """Copy dense rows x[row][neuron] into the tiles y, and list the neurons of each tile that are
    nonzero in at least one row.

    Team b copies block b, `width` neurons, of each tile. The neurons that it lists are
    active[tile][b * width + i] for i below count[tile][b], ascending.
    """
    block: int = m.league_rank()
    first: int = block * width
    last: int = first + width
    if last > neurons:
        last = neurons
    for tile in range(tiles):
        first_row: int = tile * lanes
        filled: int = rows - first_row
        if filled > lanes:
            filled = lanes
        # One cache line of 8 rows at a time, as in `unpack_dense`.
        for begin in range(first, last, 16):
            end: int = begin + 16
            if end > last:
                end = last
            for v0 in range(0, filled, 8):
                v1: int = v0 + 8
                if v1 > filled:
                    v1 = filled
                for n in range(begin, end):
                    for v in range(v0, v1):
                        y[tile][n][v] = x[first_row + v][n]
        for n in range(first, last):
            for v in range(filled, lanes):
                y[tile][n][v] = zero
        found: int = 0
        for n in range(first, last):
            nonzeros: int = 0
            for v in range(lanes):
                nonzeros += y[tile][n][v] != zero
            active[tile][first + found] = n
            found += nonzeros != 0
        count[tile][block] = found


@pk.workunit
def fused_inputs(
    m: pk.TeamMember,
    x,
    y,
    sums,
    active: pk.View2D[pk.int32],
    count: pk.View2D[pk.int32],
    next_active: pk.View2D[pk.int32],
    next_count: pk.View2D[pk.int32],
    start: pk.View1D[pk.int64],
    index,
    value,
    bias,
    zero,
    unbiased,
    low,
    ymax,
    tiles: int,
    inputs: int,
    input_blocks: int,
    input_width: int,
    outputs: int,
    width: int,
    lanes: int,
):
    """y = min(max(x W + b, low), ymax) for a block of `width` output neurons of a tile.

    Team i computes block i // tiles of tile i % tiles, so that a thread keeps to a block and its
    weights stay in its cache.

    sums: [team][width + 1][lane], a work array. The part of a team is in pages of its own: a
    processor prefetches lines that follow those of its own, within a page, and would take them from
    the thread that adds to them.
    active, count: as in `unpack_active`, of x: `input_blocks` blocks of `input_width` neurons
    next_active, next_count: the same of y, with the blocks of this layer
    start, index, value: the edges of each block by input neuron: those of input k and block c begin
    at start[c * inputs + k]; index, of any integer type, is the number of the output neuron in its
    block. A list of edges is padded to a multiple of four; padding has the index `width`.
    bias, unbiased, low, ymax: as in `fused`
    """
    team: int = m.league_rank()
    tile: int = team % tiles
    block: int = team // tiles
    first: int = block * width
    filled: int = width
    if first + filled > outputs:
        filled = outputs - first
    number: pk.int64 = block
    number *= inputs

    def lane(v: int):
        for j in range(width + 1):
            sums[team][j][v] = zero
        for c in range(input_blocks):
            for q in range(count[tile][c]):
                k: int = active[tile][c * input_width + q]
                a: pk.cpp_auto = x[tile][k][v]
                e: pk.int64 = start[number + k]
                end: pk.int64 = start[number + k + 1]
                while e < end:
                    # The outputs of an input differ: four sums may be loaded before one is stored.
                    j0: pk.int64 = index[e]
                    j1: pk.int64 = index[e + 1]
                    j2: pk.int64 = index[e + 2]
                    j3: pk.int64 = index[e + 3]
                    z0: pk.cpp_auto = sums[team][j0][v] + value[e] * a
                    z1: pk.cpp_auto = sums[team][j1][v] + value[e + 1] * a
                    z2: pk.cpp_auto = sums[team][j2][v] + value[e + 2] * a
                    z3: pk.cpp_auto = sums[team][j3][v] + value[e + 3] * a
                    sums[team][j0][v] = z0
                    sums[team][j1][v] = z1
                    sums[team][j2][v] = z2
                    sums[team][j3][v] = z3
                    e += 4
        for j in range(filled):
            z: pk.cpp_auto = sums[team][j][v]
            if z != unbiased:
                z += bias[first + j]
            if z < low:
                z = low
            if z > ymax:
                z = ymax
            y[tile][first + j][v] = z

    pk.parallel_for(pk.ThreadVectorRange(m, lanes), lane)
    found: int = 0
    for n in range(first, first + filled):
        nonzeros: int = 0
        for v in range(lanes):
            nonzeros += y[tile][n][v] != zero
        next_active[tile][first + found] = n
        found += nonzeros != 0
    next_count[tile][block] = found
