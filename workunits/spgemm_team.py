"""SpGEMM, bias and ReLU on CSR matrices for a GPU: a team, of one warp, computes a row.

The results equal those of the workunits for a CPU bit for bit. The entries of a row of Y are taken
in order, and the threads of the team take the entries of one row of W, whose columns differ: no two
threads add to the same sum, and the terms of a sum are added in order. After each row of W the
threads meet at a barrier, so that they see each other's sums.

Team w, a worker, computes the active rows w, w + workers, and so on: those in which Y has entries.
Its dense rows, `accumulator` and `stamp`, stay in the L1 cache if they fit. They have an order of
columns in which the columns of a row of W are neighbours where possible: `position` has the place
of each column. A stamp is 1 + the last row of Z with an entry in this column.

Rows with some entries are written in steps of 32 columns. The threads with an entry set their bits
in a mask, by a sum of different powers of 2, and each counts the bits below its own.

A team of bias and ReLU has `team_rows` rows, one for each of its threads, whose vector lanes take
the entries of the row.

All parameters without annotation have one type in a launch, float32 or float64.
"""

from typing import List

import pykokkos as pk


@pk.function
def count_bits(mask: pk.uint32) -> int:
    """Return the number of bits that are 1: sums of 2, 4 and 8 neighbouring bits, then of bytes."""
    pairs: pk.uint32 = mask - ((mask >> 1) & 0x55555555)
    fours: pk.uint32 = (pairs & 0x33333333) + ((pairs >> 2) & 0x33333333)
    eights: pk.uint32 = (fours + (fours >> 4)) & 0x0F0F0F0F
    return (eights * 0x01010101) >> 24


@pk.function
def count_below(mask: pk.uint32, bit: int) -> int:
    """Return the number of bits of `mask` that are 1 and lower than `bit`."""
    one: pk.uint32 = 1
    return count_bits(mask & ((one << bit) - one))


@pk.workunit
def spgemm_symbolic_team(
    m: pk.TeamMember,
    active: pk.View1D[pk.int32],
    ystart: pk.View1D[pk.int64],
    yindex: pk.View1D[pk.uint32],
    wstart: pk.View1D[pk.int32],
    windex: pk.View1D[pk.int32],
    size: pk.View1D[pk.int64],
    stamp: pk.View1D[pk.int32],
    rows: int,
    workers: int,
    columns: int,
):
    """size[r] = number of entries of row r of Z, for the active rows.

    rows: the number of active rows
    windex: the place of each entry in a dense row
    stamp: dense rows of all workers, zero at the launch

    Stamps are counted after a batch of entries of Y. A row that has an entry in each column needs
    no further batch. Batches double, so that counting takes at most about as long as stamping.
    Threads that write the same stamp write the same number, so they need no barrier.
    """
    rank: int = m.team_rank()
    threads: int = m.team_size()
    worker: int = m.league_rank()
    base: int = worker * columns
    item: int = worker
    q: List[pk.int32] = [0, 0, 0, 0]
    end: List[pk.int32] = [0, 0, 0, 0]
    place: List[pk.int32] = [0, 0, 0, 0]
    while item < rows:
        row: int = active[item]
        entries: int = 0
        batch: pk.int64 = 32 + (columns >> 5)
        p: pk.int64 = ystart[row]
        last: pk.int64 = ystart[row + 1]
        while p < last and entries < columns:
            stop: pk.int64 = p + batch
            if stop > last:
                stop = last
            while p < stop:
                # Loads of four rows of W wait together.
                for k in range(4):
                    q[k] = 0
                    end[k] = 0
                    if p + k < stop:
                        column: pk.int64 = yindex[p + k]
                        q[k] = wstart[column] + rank
                        end[k] = wstart[column + 1]
                for k in range(4):
                    if q[k] < end[k]:
                        place[k] = base + windex[q[k]]
                for k in range(4):
                    if q[k] < end[k]:
                        if stamp[place[k]] != row + 1:
                            stamp[place[k]] = row + 1
                        r: int = q[k] + threads
                        while r < end[k]:
                            other: int = base + windex[r]
                            if stamp[other] != row + 1:
                                stamp[other] = row + 1
                            r += threads
                p += 4
            p = stop
            m.team_barrier()

            def marked(j: int, acc: pk.Acc[pk.int32]):
                if stamp[base + j] == row + 1:
                    acc += 1

            found: int = pk.parallel_reduce(pk.TeamThreadRange(m, columns), marked)
            entries = found
            batch *= 2
        if rank == 0:
            size[row] = entries
        item += workers


@pk.workunit
def spgemm_numeric_team(
    m: pk.TeamMember,
    active: pk.View1D[pk.int32],
    ystart: pk.View1D[pk.int64],
    yindex: pk.View1D[pk.uint32],
    yvalue,
    wstart: pk.View1D[pk.int32],
    windex: pk.View1D[pk.int32],
    wvalue,
    position: pk.View1D[pk.int32],
    zstart: pk.View1D[pk.int64],
    zindex: pk.View1D[pk.uint32],
    zvalue,
    bias,
    size: pk.View1D[pk.int64],
    stamp: pk.View1D[pk.int32],
    accumulator,
    zero,
    low,
    ymax,
    fused: bool,
    rows: int,
    workers: int,
    columns: int,
    longest: int,
):
    """Write zindex and zvalue, the columns of a row ascending.

    fused: apply the bias, and the ReLU from low to ymax. Then only the nonzeros of a row are
    written, and size[row] is their number
    rows: the number of active rows
    windex: the place of each entry in a dense row; position[j]: the place of column j
    stamp, accumulator: dense rows of all workers, zero at the launch
    longest: the largest number of entries of a row of W

    A row with an entry in each column needs no stamps.
    """
    rank: int = m.team_rank()
    threads: int = m.team_size()
    worker: int = m.league_rank()
    base: int = worker * columns
    item: int = worker
    q: List[pk.int32] = [0, 0, 0, 0]
    end: List[pk.int32] = [0, 0, 0, 0]
    place: List[pk.int32] = [0, 0, 0, 0]
    while item < rows:
        row: int = active[item]
        out: pk.int64 = zstart[row]
        partial: bool = zstart[row + 1] - out < columns
        p: pk.int64 = ystart[row]
        last: pk.int64 = ystart[row + 1]
        if longest <= threads and not partial:
            # Loads of four rows of W wait together.
            while p < last:
                for k in range(4):
                    q[k] = 0
                    end[k] = 0
                    if p + k < last:
                        column: pk.int64 = yindex[p + k]
                        q[k] = wstart[column] + rank
                        end[k] = wstart[column + 1]
                z0: pk.cpp_auto = zero
                z1: pk.cpp_auto = zero
                z2: pk.cpp_auto = zero
                z3: pk.cpp_auto = zero
                if q[0] < end[0]:
                    place[0] = base + windex[q[0]]
                    z0 = yvalue[p] * wvalue[q[0]]
                if q[1] < end[1]:
                    place[1] = base + windex[q[1]]
                    z1 = yvalue[p + 1] * wvalue[q[1]]
                if q[2] < end[2]:
                    place[2] = base + windex[q[2]]
                    z2 = yvalue[p + 2] * wvalue[q[2]]
                if q[3] < end[3]:
                    place[3] = base + windex[q[3]]
                    z3 = yvalue[p + 3] * wvalue[q[3]]
                if q[0] < end[0]:
                    accumulator[place[0]] += z0
                m.team_barrier()
                if q[1] < end[1]:
                    accumulator[place[1]] += z1
                m.team_barrier()
                if q[2] < end[2]:
                    accumulator[place[2]] += z2
                m.team_barrier()
                if q[3] < end[3]:
                    accumulator[place[3]] += z3
                m.team_barrier()
                p += 4
        else:
            while p < last:
                source: pk.int64 = yindex[p]
                y: pk.cpp_auto = yvalue[p]
                begin: int = wstart[source]
                count: int = wstart[source + 1] - begin

                def add(v: int):
                    j: int = base + windex[begin + v]
                    accumulator[j] += y * wvalue[begin + v]
                    if partial and stamp[j] != row + 1:
                        stamp[j] = row + 1

                pk.parallel_for(pk.TeamThreadRange(m, count), add)
                m.team_barrier()
                p += 1

        if (partial or fused) and out < zstart[row + 1]:
            first: int = 0
            while first < columns:
                width: int = 32
                if first + width > columns:
                    width = columns - first

                def occupied(v: int, acc: pk.Acc[pk.uint32]):
                    entry: int = base + position[first + v]
                    keep: bool = not partial or stamp[entry] == row + 1
                    if fused and keep:
                        z: pk.cpp_auto = accumulator[entry]
                        if z != 0.0:
                            z += bias[first + v]
                        if z < low:
                            z = low
                        if z > ymax:
                            z = ymax
                        accumulator[entry] = z
                        keep = z != 0.0
                    if keep:
                        bit: pk.uint32 = 1
                        acc += bit << v

                mask: pk.uint32 = pk.parallel_reduce(pk.TeamThreadRange(m, width), occupied)

                def emit(v: int):
                    own: pk.uint32 = (mask >> v) & 1
                    if own == 1:
                        target: pk.int64 = out + count_below(mask, v)
                        zindex[target] = first + v
                        zvalue[target] = accumulator[base + position[first + v]]

                pk.parallel_for(pk.TeamThreadRange(m, width), emit)
                out += count_bits(mask)
                first += 32
            if fused and rank == 0:
                size[row] = out - zstart[row]
        if not partial and not fused:

            def copy(j: int):
                zindex[out + j] = j
                zvalue[out + j] = accumulator[base + position[j]]

            pk.parallel_for(pk.TeamThreadRange(m, columns), copy)
        m.team_barrier()
        if zstart[row] < zstart[row + 1]:

            def clear(j: int):
                accumulator[base + j] = 0.0

            pk.parallel_for(pk.TeamThreadRange(m, columns), clear)
            m.team_barrier()
        item += workers


@pk.workunit
def add_bias_team(
    m: pk.TeamMember,
    start: pk.View1D[pk.int64],
    index: pk.View1D[pk.uint32],
    value,
    bias,
    rows: int,
    team_rows: int,
):
    """value[e] += bias[column of e] for every nonzero entry e of a CSR matrix."""

    def add_to_row(t: int):
        row: int = m.league_rank() * team_rows + t
        if row < rows:
            begin: pk.int64 = start[row]
            count: int = int(start[row + 1] - begin)

            def add(v: int):
                if value[begin + v] != 0.0:
                    value[begin + v] += bias[index[begin + v]]

            pk.parallel_for(pk.ThreadVectorRange(m, count), add)

    pk.parallel_for(pk.TeamThreadRange(m, team_rows), add_to_row)


@pk.workunit
def relu_symbolic_team(
    m: pk.TeamMember,
    start: pk.View1D[pk.int64],
    value,
    low,
    size: pk.View1D[pk.int64],
    rows: int,
    team_rows: int,
):
    """size[row] = number of entries of the row that are not zero after max(z, low)."""

    def count_row(t: int):
        row: int = m.league_rank() * team_rows + t
        if row < rows:
            begin: pk.int64 = start[row]
            count: int = int(start[row + 1] - begin)

            def keep(v: int, acc: pk.Acc[pk.int32]):
                z: pk.cpp_auto = value[begin + v]
                if z < low:
                    z = low
                if z != 0.0:
                    acc += 1

            kept: int = pk.parallel_reduce(pk.ThreadVectorRange(m, count), keep)
            size[row] = kept

    pk.parallel_for(pk.TeamThreadRange(m, team_rows), count_row)


@pk.workunit
def relu_numeric_team(
    m: pk.TeamMember,
    zstart: pk.View1D[pk.int64],
    zindex: pk.View1D[pk.uint32],
    zvalue,
    ystart: pk.View1D[pk.int64],
    yindex: pk.View1D[pk.uint32],
    yvalue,
    low,
    ymax,
    rows: int,
    team_rows: int,
):
    """y = min(max(z, low), ymax), without zeros."""

    def copy_row(t: int):
        row: int = m.league_rank() * team_rows + t
        if row < rows:
            out: pk.int64 = ystart[row]
            e: pk.int64 = zstart[row]
            end: pk.int64 = zstart[row + 1]
            while e < end:
                width: int = 32
                if e + width > end:
                    width = int(end - e)

                def keep(v: int, acc: pk.Acc[pk.uint32]):
                    z: pk.cpp_auto = zvalue[e + v]
                    if z < low:
                        z = low
                    if z != 0.0:
                        bit: pk.uint32 = 1
                        acc += bit << v

                mask: pk.uint32 = pk.parallel_reduce(pk.ThreadVectorRange(m, width), keep)

                def emit(v: int):
                    own: pk.uint32 = (mask >> v) & 1
                    if own == 1:
                        target: pk.int64 = out + count_below(mask, v)
                        z: pk.cpp_auto = zvalue[e + v]
                        if z < low:
                            z = low
                        if z > ymax:
                            z = ymax
                        yindex[target] = zindex[e + v]
                        yvalue[target] = z

                pk.parallel_for(pk.ThreadVectorRange(m, width), emit)
                out += count_bits(mask)
                e += 32

    pk.parallel_for(pk.TeamThreadRange(m, team_rows), copy_row)


@pk.workunit
def copy_rows_team(
    m: pk.TeamMember,
    zstart: pk.View1D[pk.int64],
    zindex: pk.View1D[pk.uint32],
    zvalue,
    ystart: pk.View1D[pk.int64],
    yindex: pk.View1D[pk.uint32],
    yvalue,
    rows: int,
    team_rows: int,
):
    """Copy the first entries of each row of Z, as many as a row of Y has."""

    def copy_row(t: int):
        row: int = m.league_rank() * team_rows + t
        if row < rows:
            begin: pk.int64 = zstart[row]
            out: pk.int64 = ystart[row]
            count: int = int(ystart[row + 1] - out)

            def copy(v: int):
                yindex[out + v] = zindex[begin + v]
                yvalue[out + v] = zvalue[begin + v]

            pk.parallel_for(pk.ThreadVectorRange(m, count), copy)

    pk.parallel_for(pk.TeamThreadRange(m, team_rows), copy_row)
