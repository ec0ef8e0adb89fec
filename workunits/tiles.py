"""Copy rows into tiles, `[tile][neuron][lane]`, and back: row r is lane r % lanes of tile
r // lanes.

Lanes after the last row are zero. All parameters without annotation except `permutation` have one
type in a launch, float32 or float64; the y of unpack_bits may have uint8 as well.
"""

import pykokkos as pk


@pk.workunit
def unpack_bits(
    m: pk.TeamMember,
    bits: pk.View2D[pk.uint8],
    permutation,
    transposed: pk.View3D[pk.uint8],
    y,
    rows: int,
    neurons: int,
    row_bytes: int,
    lanes: int,
):
    """Unpack rows of bits, neuron 0 in the highest bit of byte 0, into the tiles y. Each team
    writes one tile.

    permutation: index of each neuron in a tile, of any integer type
    transposed: work buffer for the bytes of the rows, [tile][byte][lane]
    row_bytes: bytes of a row
    """
    tile: int = m.league_rank()
    first_row: int = tile * lanes
    filled: int = rows - first_row
    if filled > lanes:
        filled = lanes

    def transpose(j: int):
        # One cache line of each row at a time. If rows are a power of two apart, the rows of a tile
        # share a few sets of the cache, which do not keep their lines until the next byte.
        begin: int = j * 64
        end: int = begin + 64
        if end > row_bytes:
            end = row_bytes

        def row(v: int):
            for c in range(begin, end):
                transposed[tile][c][v] = bits[first_row + v][c]

        def rest(v: int):
            for c in range(begin, end):
                transposed[tile][c][filled + v] = 0

        pk.parallel_for(pk.ThreadVectorRange(m, filled), row)
        pk.parallel_for(pk.ThreadVectorRange(m, lanes - filled), rest)

    def spread(c: int):
        last: int = 8
        if c * 8 + last > neurons:
            last = neurons - c * 8
        for k in range(last):
            mask: pk.uint8 = 128 >> k
            target: pk.int64 = permutation[c * 8 + k]

            def bit(v: int):
                # A byte variable, so that the compiler does not widen lanes for the comparison.
                masked: pk.uint8 = transposed[tile][c][v] & mask
                y[tile][target][v] = masked != 0

            pk.parallel_for(pk.ThreadVectorRange(m, lanes), bit)

    pk.parallel_for(pk.TeamThreadRange(m, (row_bytes + 63) // 64), transpose)
    m.team_barrier()
    pk.parallel_for(pk.TeamThreadRange(m, row_bytes), spread)


@pk.workunit
def unpack_csr(
    i: int,
    start: pk.View1D[pk.int64],
    index: pk.View1D[pk.uint32],
    value,
    y,
    lanes: int,
):
    """Write row i of a CSR matrix into the tiles y, which are zero at the launch.

    index: the column of each entry, as the index of its neuron in a tile
    """
    tile: int = i // lanes
    lane: int = i % lanes
    e: pk.int64 = start[i]
    while e < start[i + 1]:
        y[tile][index[e]][lane] = value[e]
        e += 1


@pk.workunit
def unpack_dense(
    m: pk.TeamMember,
    x,
    permutation,
    y,
    zero,
    rows: int,
    neurons: int,
    blocks: int,
    width: int,
    lanes: int,
):
    """Copy dense rows x[row][neuron] into the tiles y. A team writes `width` cache lines of each
    row of a tile, and the league has `blocks` teams for each tile.

    A cache line is 16 neurons here.

    permutation: index of each neuron in a tile, of any integer type
    """
    tile: int = m.league_rank() // blocks
    first: int = (m.league_rank() % blocks) * width
    count: int = (neurons + 15) // 16 - first
    if count > width:
        count = width
    first_row: int = tile * lanes
    filled: int = rows - first_row
    if filled > lanes:
        filled = lanes

    def transpose(j: int):
        # One cache line of 8 rows at a time. If rows are a power of two apart, the rows of a tile
        # share a few sets of the cache, which do not keep more lines until the next neuron.
        begin: int = (first + j) * 16
        end: int = begin + 16
        if end > neurons:
            end = neurons
        eights: int = filled // 8 * 8
        for v0 in range(0, eights, 8):
            for n in range(begin, end):
                i: pk.int64 = permutation[n]

                def row(v: int):
                    y[tile][i][v0 + v] = x[first_row + v0 + v][n]

                pk.parallel_for(pk.ThreadVectorRange(m, 8), row)

        def last_row(v: int):
            for n in range(begin, end):
                y[tile][permutation[n]][eights + v] = x[first_row + eights + v][n]

        def rest(v: int):
            for n in range(begin, end):
                y[tile][permutation[n]][filled + v] = zero

        pk.parallel_for(pk.ThreadVectorRange(m, filled - eights), last_row)
        pk.parallel_for(pk.ThreadVectorRange(m, lanes - filled), rest)

    pk.parallel_for(pk.TeamThreadRange(m, count), transpose)


@pk.workunit
def sum_squares(
    m: pk.TeamMember, a, squares, zero, neurons: int, blocks: int, width: int, lanes: int
):
    """Compute the sum of the squares of each row of the tiles `a`, from their first neurons: that
    of block b of tile t in squares[t * blocks + b][lane]. It is finite only if the values are.

    A team reads `width` cache lines of each row, as in `unpack_dense`.
    """
    tile: int = m.league_rank() // blocks
    first: int = (m.league_rank() % blocks) * width * 16
    last: int = first + width * 16
    if last > neurons:
        last = neurons

    def lane(v: int):
        z: pk.cpp_auto = zero
        for n in range(first, last):
            z += a[tile][n][v] * a[tile][n][v]
        squares[m.league_rank()][v] = z

    pk.parallel_for(pk.ThreadVectorRange(m, lanes), lane)


@pk.workunit
def check_squares(i: int, squares, limit, exceeded: pk.View1D[pk.int32], teams: int, lanes: int):
    """Set exceeded[0] to 1 if a sum of `sum_squares` is above a limit or NaN, else to 0. There is
    one work item."""
    exceeded[i] = 0
    for team in range(teams):
        for v in range(lanes):
            if not (squares[team][v] <= limit):
                exceeded[i] = 1


@pk.workunit
def pack_dense(
    m: pk.TeamMember,
    a,
    permutation,
    ids: pk.View1D[pk.int64],
    y,
    rows: int,
    first: int,
    neurons: int,
    lanes: int,
):
    """Copy row r of the tiles `a` into the dense row y[ids[r]]. Each team reads one tile.

    permutation: index of each neuron in a tile, relative to `first`, of any integer type
    """
    tile: int = m.league_rank()
    first_row: int = tile * lanes
    filled: int = rows - first_row
    if filled > lanes:
        filled = lanes

    def transpose(j: int):
        begin: int = j * 16
        end: int = begin + 16
        if end > neurons:
            end = neurons

        def row(v: int):
            target: pk.int64 = ids[first_row + v]
            for n in range(begin, end):
                source: pk.int64 = permutation[n]
                y[target][n] = a[tile][first + source][v]

        pk.parallel_for(pk.ThreadVectorRange(m, filled), row)

    pk.parallel_for(pk.TeamThreadRange(m, (neurons + 15) // 16), transpose)
