"""Rows into tiles, `y[tile][neuron][lane]`, and out of them: row r is lane r % lanes of tile
r // lanes.

Lanes past the last row are zero. Parameters without annotation are float32 or float64 together, as
the launch passes them; the y of unpack_bits may be of bytes as well.
"""

import pykokkos as pk


@pk.workunit
def unpack_bits(
    m: pk.TeamMember,
    bits: pk.View2D[pk.uint8],
    place,
    turned: pk.View3D[pk.uint8],
    y,
    rows: int,
    neurons: int,
    columns: int,
    lanes: int,
):
    """Rows of packed bits, neuron 0 in the highest bit of byte 0; a team takes a tile.

    place: where a neuron's values go, of any whole type; columns: the bytes of a row; turned: room
    for them as [tile][column][lane], whence every bit of a column is taken for all lanes at once
    """
    tile: int = m.league_rank()
    before: int = tile * lanes
    held: int = rows - before
    if held > lanes:
        held = lanes

    def turn(j: int):
        # A cache line of each row at a time: where rows are a power of two apart, all of a tile
        # fall into few sets of the cache, and the next column would not find its line there.
        begin: int = j * 64
        end: int = begin + 64
        if end > columns:
            end = columns

        def row(v: int):
            for c in range(begin, end):
                turned[tile][c][v] = bits[before + v][c]

        def rest(v: int):
            for c in range(begin, end):
                turned[tile][c][held + v] = 0

        pk.parallel_for(pk.ThreadVectorRange(m, held), row)
        pk.parallel_for(pk.ThreadVectorRange(m, lanes - held), rest)

    def spread(c: int):
        last: int = 8
        if c * 8 + last > neurons:
            last = neurons - c * 8
        for k in range(last):
            mask: pk.uint8 = 128 >> k
            row: pk.int64 = place[c * 8 + k]

            def bit(v: int):
                # In a byte of its own, so that no lane is widened for the comparison.
                found: pk.uint8 = turned[tile][c][v] & mask
                y[tile][row][v] = found != 0

            pk.parallel_for(pk.ThreadVectorRange(m, lanes), bit)

    pk.parallel_for(pk.TeamThreadRange(m, (columns + 63) // 64), turn)
    m.team_barrier()
    pk.parallel_for(pk.TeamThreadRange(m, columns), spread)


@pk.workunit
def unpack_csr(
    i: int,
    start: pk.View1D[pk.int64],
    index: pk.View1D[pk.uint32],
    value,
    y,
    lanes: int,
):
    """Row i of a CSR matrix; y must be zero before."""
    tile: int = i // lanes
    lane: int = i % lanes
    e: pk.int64 = start[i]
    while e < start[i + 1]:
        y[tile][index[e]][lane] = value[e]
        e += 1


@pk.workunit
def unpack_dense(m: pk.TeamMember, x, place, y, zero, rows: int, neurons: int, lanes: int):
    """Rows x[row][neuron]; a team takes a tile.

    place: where a neuron's values go, of any whole type
    """
    tile: int = m.league_rank()
    before: int = tile * lanes
    held: int = rows - before
    if held > lanes:
        held = lanes

    def turn(j: int):
        # Sixteen neurons of each row at a time, about a cache line, see unpack_bits.
        begin: int = j * 16
        end: int = begin + 16
        if end > neurons:
            end = neurons

        def row(v: int):
            for n in range(begin, end):
                y[tile][place[n]][v] = x[before + v][n]

        def rest(v: int):
            for n in range(begin, end):
                y[tile][place[n]][held + v] = zero

        pk.parallel_for(pk.ThreadVectorRange(m, held), row)
        pk.parallel_for(pk.ThreadVectorRange(m, lanes - held), rest)

    pk.parallel_for(pk.TeamThreadRange(m, (neurons + 15) // 16), turn)


@pk.workunit
def pack_dense(
    m: pk.TeamMember,
    a,
    place,
    ids: pk.View1D[pk.int64],
    y,
    rows: int,
    first: int,
    neurons: int,
    lanes: int,
):
    """Tiles into rows: row r of the tiles becomes y[ids[r]]; a team takes a tile.

    place: where a neuron's values are, counted from `first`, of any whole type
    """
    tile: int = m.league_rank()
    before: int = tile * lanes
    held: int = rows - before
    if held > lanes:
        held = lanes

    def turn(j: int):
        begin: int = j * 16
        end: int = begin + 16
        if end > neurons:
            end = neurons

        def row(v: int):
            to: pk.int64 = ids[before + v]
            for n in range(begin, end):
                source: pk.int64 = place[n]
                y[to][n] = a[tile][first + source][v]

        pk.parallel_for(pk.ThreadVectorRange(m, held), row)

    pk.parallel_for(pk.TeamThreadRange(m, (neurons + 15) // 16), turn)
