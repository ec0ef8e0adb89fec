"""What the rows are, and moving the living together so that tiles stay full.

A row leaves where its end is known: values near 0 end as zeros, a dead row, and values that are
large enough at ymax, a saturated row, where the weights and biases of all later layers are such.
Activations are `a[tile][neuron][lane]`, row r in lane r % lanes of tile r // lanes. Parameters
without annotation are float32 or float64 together, as the launch passes them, or counts of a first
layer, in bytes, with limits of int32.
"""

import pykokkos as pk


@pk.workunit
def find_range(
    m: pk.TeamMember,
    a,
    lowest,
    highest,
    first: int,
    neurons: int,
    parts: int,
    lanes: int,
):
    """lowest[tile][part][lane] and highest[tile][part][lane] of each of `parts` parts of neurons
    first to first + neurons; a team takes a tile. Where there are more parts than neurons some are
    the same."""
    tile: int = m.league_rank()
    width: int = (neurons + parts - 1) // parts

    def part(p: int):
        begin: int = p * width
        if begin >= neurons:
            begin = 0
        end: int = begin + width
        if end > neurons:
            end = neurons

        def lane(v: int):
            least: pk.cpp_auto = a[tile][first + begin][v]
            most: pk.cpp_auto = a[tile][first + begin][v]
            for j in range(begin + 1, end):
                y: pk.cpp_auto = a[tile][first + j][v]
                if y < least:
                    least = y
                if y > most:
                    most = y
            lowest[tile][p][v] = least
            highest[tile][p][v] = most

        pk.parallel_for(pk.ThreadVectorRange(m, lanes), lane)

    pk.parallel_for(pk.TeamThreadRange(m, parts), part)


@pk.workunit
def list_live(
    i: int,
    position: pk.Acc[pk.int64],
    last: bool,
    lowest,
    highest,
    dead,
    saturated,
    ymax,
    ids: pk.View1D[pk.int64],
    kept: pk.View1D[pk.int64],
    place: pk.View1D[pk.int64],
    first: int,
    stride: int,
    parts: int,
    lanes: int,
):
    """A scan over the rows: kept[0], kept[1], … are the ids of those that are neither dead nor
    saturated, in order; the total is their number.

    dead: rows of values from 0 to it are dead; saturated: those from it to ymax are saturated;
    both may be infinite
    lowest, highest: of find_range, as one long array each
    ids: the numbers of the input rows that the rows came from
    place: where their values are, for neuron 0, in all tiles as one long array; first, stride: the
    place of neuron 0 in a tile, and the neurons of a tile
    """
    tile: pk.int64 = i // lanes
    entry: pk.int64 = tile * parts * lanes + i % lanes
    low: pk.cpp_auto = lowest[entry]
    high: pk.cpp_auto = highest[entry]
    end: pk.int64 = entry + parts * lanes
    entry += lanes
    while entry < end:
        if lowest[entry] < low:
            low = lowest[entry]
        if highest[entry] > high:
            high = highest[entry]
        entry += lanes
    if not (low >= 0 and high <= dead) and not (low >= saturated and high <= ymax):
        if last:
            kept[position] = ids[i]
            place[position] = (tile * stride + first) * lanes + i % lanes
        position += 1


@pk.workunit
def gather_rows(
    m: pk.TeamMember,
    x,
    a,
    place: pk.View1D[pk.int64],
    zero,
    before: int,
    count: int,
    first: int,
    neurons: int,
    lanes: int,
):
    """Row before + r of a becomes the row at place[r] of x for r < count, and zero past those;
    rows before `before` stay. x is tiles as one long array; a team takes a tile of a.

    first: where the neurons of a row begin in a tile of a
    """
    tile: int = m.league_rank() + before // lanes
    begin: int = before - tile * lanes
    if begin < 0:
        begin = 0
    end: int = before + count - tile * lanes
    if end > lanes:
        end = lanes
    if end < begin:
        end = begin
    row: int = tile * lanes + begin - before

    def neuron(j: int):
        step: pk.int64 = j
        step *= lanes

        def lane(v: int):
            a[tile][first + j][begin + v] = x[place[row + v] + step]

        def rest(v: int):
            a[tile][first + j][end + v] = zero

        pk.parallel_for(pk.ThreadVectorRange(m, end - begin), lane)
        pk.parallel_for(pk.ThreadVectorRange(m, lanes - end), rest)

    pk.parallel_for(pk.TeamThreadRange(m, neurons), neuron)
