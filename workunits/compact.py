"""What the rows are, and moving the living together so that tiles stay full.

Under the challenge's bias rule a row of zeros, a dead row, stays so through every later layer; a
row whose every value is ymax, a saturated row, stays so where the weights say so. Parameters
without annotation are float32 or float64 together, as the launch passes them.
"""

import pykokkos as pk


@pk.workunit
def find_state(
    i: int,
    y,
    state: pk.View1D[pk.int32],
    ymax,
    neurons: int,
    lanes: int,
):
    """state[i] = 0 where row i is dead, 2 where it is saturated, else 1."""
    tile: int = i // lanes
    lane: int = i % lanes
    first: pk.cpp_auto = y[tile][0][lane]
    found: int = 0
    if first == ymax:
        found = 2
    if first != 0.0 and found == 0:
        found = 1
    j: int = 1
    while j < neurons and found != 1:
        v: pk.cpp_auto = y[tile][j][lane]
        if v != first:
            found = 1
        j += 1
    state[i] = found


@pk.workunit
def list_live(
    i: int,
    position: pk.Acc[pk.int64],
    last: bool,
    state: pk.View1D[pk.int32],
    kept: pk.View1D[pk.int32],
    place: pk.View1D[pk.int64],
    neurons: int,
    lanes: int,
):
    """A scan: kept[0], kept[1], … are the rows of state 1 in order, and place[0], place[1], …
    where their values for neuron 0 are in the tiles; the total is their number."""
    if state[i] == 1:
        if last:
            kept[position] = i
            tile: pk.int64 = i // lanes
            place[position] = tile * neurons * lanes + i % lanes
        position += 1


@pk.workunit
def gather_rows(
    m: pk.TeamMember,
    x,
    y,
    place: pk.View1D[pk.int64],
    zero,
    offset: int,
    count: int,
    neurons: int,
    lanes: int,
):
    """Row offset + r of y becomes the row at place[r] of x for r < count, and zero past those;
    rows before offset stay. x is the tiles as one long array; a team takes a tile of y."""
    tile: int = m.league_rank()

    def neuron(j: int):
        step: pk.int64 = j

        def lane(v: int):
            row: int = tile * lanes + v - offset
            if row >= 0:
                moved: pk.cpp_auto = zero
                if row < count:
                    moved = x[place[row] + step * lanes]
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
