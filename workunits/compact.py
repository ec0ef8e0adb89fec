"""Which rows are alive, and moving the living together so that tiles stay full.

A row is alive while any of its values is not zero. Under the challenge's bias rule a row of
zeros stays so through every later layer. Parameters without annotation are float32 or float64
together, as the launch passes them.
"""

import pykokkos as pk


@pk.workunit
def find_live(
    i: int,
    y,
    live: pk.View1D[pk.int32],
    neurons: int,
    lanes: int,
):
    """live[i] = 1 where row i has a nonzero, else 0."""
    tile: int = i // lanes
    lane: int = i % lanes
    alive: int = 0
    j: int = 0
    while j < neurons and alive == 0:
        if y[tile][j][lane] != 0.0:
            alive = 1
        j += 1
    live[i] = alive


@pk.workunit
def list_live(
    i: int,
    position: pk.Acc[pk.int64],
    last: bool,
    live: pk.View1D[pk.int32],
    kept: pk.View1D[pk.int32],
):
    """A scan: kept[0], kept[1], … are the living rows in order; the total is their number."""
    if last:
        if live[i] == 1:
            kept[position] = i
    position += live[i]


@pk.workunit
def gather_rows(
    m: pk.TeamMember,
    x,
    y,
    kept: pk.View1D[pk.int32],
    zero,
    count: int,
    neurons: int,
    lanes: int,
):
    """Row r of y is row kept[r] of x for r < count, and zero past it; a team takes a tile of y."""
    tile: int = m.league_rank()

    def neuron(j: int):
        def lane(v: int):
            row: int = tile * lanes + v
            moved: pk.cpp_auto = zero
            if row < count:
                source: int = kept[row]
                moved = x[source // lanes][j][source % lanes]
            y[tile][j][v] = moved

        pk.parallel_for(pk.ThreadVectorRange(m, lanes), lane)

    pk.parallel_for(pk.TeamThreadRange(m, neurons), neuron)


@pk.workunit
def gather_ids(
    i: int,
    ids: pk.View1D[pk.int64],
    moved: pk.View1D[pk.int64],
    kept: pk.View1D[pk.int32],
):
    """The numbers of the input rows move with the rows."""
    moved[i] = ids[kept[i]]
