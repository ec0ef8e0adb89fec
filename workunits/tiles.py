"""Input rows into tiles, `y[tile][neuron][lane]`: row r is lane r % lanes of tile r // lanes.

Lanes past the last row are zero. Parameters without annotation are float32 or float64 together, as
the launch passes them; the y of unpack_bits may be of bytes as well.
"""

import pykokkos as pk


@pk.workunit
def unpack_bits(
    m: pk.TeamMember,
    bits: pk.View2D[pk.uint8],
    y,
    rows: int,
    neurons: int,
    columns: int,
    lanes: int,
):
    """Rows of packed bits, neuron 0 in the highest bit of byte 0; a team takes a tile.

    columns: the bytes of a row
    """
    tile: int = m.league_rank()

    def column(c: int):
        last: int = 8
        if c * 8 + last > neurons:
            last = neurons - c * 8

        def lane(v: int):
            row: int = tile * lanes + v
            byte: int = 0
            if row < rows:
                byte = bits[row][c]
            for k in range(last):
                y[tile][c * 8 + k][v] = (byte >> (7 - k)) & 1

        pk.parallel_for(pk.ThreadVectorRange(m, lanes), lane)

    pk.parallel_for(pk.TeamThreadRange(m, columns), column)


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
