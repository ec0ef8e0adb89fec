"""Compaction: find the active rows and move them together, so that tiles stay full.

A row is retired once its final output is proven: all its values are so small that it goes to zero,
or so large that it saturates at ymax.

Activations are `a[tile][neuron][lane]`; row r is lane r % lanes of tile r // lanes. All parameters
without annotation have one type in a launch, float32 or float64; or they are the uint8 counts of a
first layer, with int32 bounds.
"""

import pykokkos as pk


@pk.workunit
def find_range(
    m: pk.TeamMember,
    a,
    ranges,
    first: int,
    neurons: int,
    parts: int,
    lanes: int,
):
    """Find the smallest and the largest activation of each row, in each of `parts` parts of its
    neurons. Each team computes one tile.

    ranges: output, [tile * parts + part][0 smallest, 1 largest][lane]; parts past the last neuron
    repeat the first one
    first: index of neuron 0 in a tile of `a`
    """
    tile: int = m.league_rank()
    share: int = (neurons + parts - 1) // parts

    def part(p: int):
        entry: int = tile * parts + p
        begin: int = p * share
        if begin >= neurons:
            begin = 0
        end: int = begin + share
        if end > neurons:
            end = neurons

        def lane(v: int):
            smallest: pk.cpp_auto = a[tile][first + begin][v]
            largest: pk.cpp_auto = a[tile][first + begin][v]
            for j in range(begin + 1, end):
                y: pk.cpp_auto = a[tile][first + j][v]
                if y < smallest:
                    smallest = y
                if y > largest:
                    largest = y
            ranges[entry][0][v] = smallest
            ranges[entry][1][v] = largest

        pk.parallel_for(pk.ThreadVectorRange(m, lanes), lane)

    pk.parallel_for(pk.TeamThreadRange(m, parts), part)


@pk.workunit
def list_active(
    i: int,
    position: pk.Acc[pk.int64],
    last: bool,
    ranges,
    max_zero,
    min_saturated,
    ymax,
    ids: pk.View1D[pk.int64],
    active_ids: pk.View1D[pk.int64],
    offset: pk.View1D[pk.int64],
    first: int,
    stride: int,
    entries: int,
    lanes: int,
):
    """List the active rows in ascending order: a scan over the rows, whose total is the number of
    active rows.

    A row goes to zero if all its values are in [0, max_zero], and saturates if all are in
    [min_saturated, ymax]; otherwise it is active. Both bounds may be infinite.

    ranges: [tile * entries + entry][0 smallest, 1 largest][lane], output of find_range or of a
    workunit of `fused`
    ids: number of the input row of each row; active_ids: output, the same for each active row
    offset: output, index of the value of neuron 0 of each active row in the tiles as a 1-D array
    first: index of neuron 0 in a tile; stride: neurons of a tile, in both buffers
    """
    tile: pk.int64 = i // lanes
    lane: int = i % lanes
    begin: pk.int64 = tile * entries
    low: pk.cpp_auto = ranges[begin][0][lane]
    high: pk.cpp_auto = ranges[begin][1][lane]
    for k in range(1, entries):
        if ranges[begin + k][0][lane] < low:
            low = ranges[begin + k][0][lane]
        if ranges[begin + k][1][lane] > high:
            high = ranges[begin + k][1][lane]
    if not (low >= 0 and high <= max_zero) and not (low >= min_saturated and high <= ymax):
        if last:
            active_ids[position] = ids[i]
            offset[position] = (tile * stride + first) * lanes + lane
        position += 1


@pk.workunit
def gather_rows(
    m: pk.TeamMember,
    x,
    a,
    offset: pk.View1D[pk.int64],
    zero,
    first_row: int,
    count: int,
    first: int,
    neurons: int,
    lanes: int,
):
    """Copy `count` rows from the tiles x into consecutive rows of the tiles `a`, from row
    `first_row` on. Rows of `a` before `first_row` keep their values, lanes after the last row
    become zero. Each team writes one tile of `a`.

    x: the tiles as a 1-D array; offset[r]: index of the value of neuron 0 of row r in x
    first: index of neuron 0 in a tile of `a`
    """
    tile: int = m.league_rank() + first_row // lanes
    begin: int = first_row - tile * lanes
    if begin < 0:
        begin = 0
    end: int = first_row + count - tile * lanes
    if end > lanes:
        end = lanes
    if end < begin:
        end = begin
    row: int = tile * lanes + begin - first_row

    def neuron(j: int):
        step: pk.int64 = j
        step *= lanes

        def lane(v: int):
            a[tile][first + j][begin + v] = x[offset[row + v] + step]

        def rest(v: int):
            a[tile][first + j][end + v] = zero

        pk.parallel_for(pk.ThreadVectorRange(m, end - begin), lane)
        pk.parallel_for(pk.ThreadVectorRange(m, lanes - end), rest)

    pk.parallel_for(pk.TeamThreadRange(m, neurons), neuron)
