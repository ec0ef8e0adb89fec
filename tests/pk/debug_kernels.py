"""Workunits whose arguments decide whether an access is outside its array.

Tests of debug mode launch them; a line number in a comment would change with this file, so the
tests find the lines by the text behind `# line:`.
"""

from typing import List

import pykokkos as pk


@pk.workunit
def load(
    i: int,
    a: pk.View1D[pk.double],
    b: pk.View2D[pk.float],
    c: pk.View3D[pk.int32],
    out: pk.View1D[pk.double],
    rank: int,
    p: int,
    q: pk.int64,
    r: int,
):
    if rank == 1:
        out[i] = a[p]  # line: load 1
    if rank == 2:
        out[i] = b[p][q]  # line: load 2
    if rank == 3:
        out[i] = c[p][q][r]  # line: load 3


@pk.workunit
def store(
    i: int,
    a: pk.View1D[pk.double],
    b: pk.View2D[pk.float],
    c: pk.View3D[pk.int32],
    rank: int,
    p: int,
    q: pk.int64,
    r: int,
):
    if rank == 1:
        a[p] = 7.0  # line: store 1
    if rank == 2:
        b[p][q] = 7.0  # line: store 2
    if rank == 3:
        c[p][q][r] += 7  # line: store 3


@pk.workunit
def unsigned(i: int, x: pk.View1D[pk.uint8], k: pk.uint64):
    x[k] = 1  # line: unsigned


@pk.function
def pick(k: int) -> float:
    values: List[pk.double] = [0.5, 1.5, 2.5]
    return values[k]  # line: pick


@pk.function
def share(n: int, parts: int) -> int:
    return n // parts  # line: share


@pk.workunit
def functions(i: int, out: pk.View1D[pk.double], k: int, parts: int):
    out[i] = pick(k) + share(i, parts)


@pk.workunit
def local_array(i: int, out: pk.View1D[pk.int64], k: int):
    tally: List[pk.int64] = [1, 2]
    tally[k] += 10  # line: local
    out[i] = tally[0] + tally[1]


@pk.workunit
def count(i: int, counts: pk.View2D[pk.int64], keys: pk.View1D[pk.int32]):
    pk.atomic_fetch_add(counts, [1, keys[i]], 1)  # line: atomic


@pk.workunit
def total(i: int, acc: pk.Acc[pk.double], x: pk.View1D[pk.double], shift: int):
    acc += x[i + shift]  # line: total


@pk.workunit
def prefix(i: int, acc: pk.Acc[pk.int64], last: bool, x: pk.View1D[pk.int64], shift: int):
    acc += 1
    if last:
        x[i + shift] = acc  # line: prefix


@pk.workunit
def grid(i: int, j: int, x: pk.View2D[pk.double]):
    x[i][j] = 10 * i + j  # line: grid


@pk.workunit
def part(i: int, a: pk.View2D[pk.double], out: pk.View1D[pk.double], k: int):
    row = a[i, :]
    out[i] = row[k]  # line: part


@pk.workunit
def scratch(m: pk.TeamMember, out: pk.View1D[pk.double], n: int, k: int):
    s: pk.ScratchView1D[pk.double] = pk.ScratchView1D(m.team_scratch(0), n)

    def once():
        s[k] = 5.0  # line: scratch
        out[m.league_rank()] = s[k]

    pk.single(pk.PerTeam(m), once)


@pk.workunit
def atomic_divisions(i: int, n: pk.View1D[pk.int32], x: pk.View1D[pk.double], by: int):
    pk.atomic_fetch_div(x, [0], by)
    pk.atomic_fetch_div(n, [0], by)  # line: atomic division
    pk.atomic_fetch_mod(n, [1], by)


@pk.workunit
def nested(
    m: pk.TeamMember,
    x: pk.View3D[pk.float],
    sums: pk.View1D[pk.double],
    rows: int,
    lanes: int,
    columns: int,
):
    tile: int = m.league_rank()

    def row(j: int):
        def lane(v: int):
            x[tile][j][v] = x[tile][j][v] * 2.0  # line: lane

        pk.parallel_for(pk.ThreadVectorRange(m, lanes), lane)

    pk.parallel_for(pk.TeamThreadRange(m, rows), row)

    def column(j: int, acc: pk.Acc[pk.double]):
        acc += x[tile][0][j]  # line: column

    s: float = pk.parallel_reduce(pk.TeamThreadRange(m, columns), column)
    sums[tile] = s


@pk.workunit
def divide(i: int, out: pk.View2D[pk.int64], n: pk.View1D[pk.int32], by: pk.View1D[pk.int32]):
    a: int = n[i]
    b: int = by[i]
    out[i][0] = a // b  # line: quotient
    out[i][1] = a % b
    a //= b
    out[i][2] = a
    out[i][3] = n[i]
    out[i][3] %= b
    out[i][4] = i % 2 + int(a / 2.5)


@pk.workunit
def remain(i: int, out: pk.View1D[pk.int64], n: pk.int64, by: pk.int64):
    out[i] = n
    out[i] %= by  # line: remainder


@pk.workunit
def search(i: int, x: pk.View1D[pk.int32], out: pk.View1D[pk.int32]):
    """Without a check, it would run on until it finds a 1 behind the array."""
    k: int = 0
    while x[k] != 1:  # line: search
        k += 1
    out[i] = k


@pk.workunit
def guarded(i: int, x: pk.View1D[pk.double], y: pk.View1D[pk.double]):
    """In range: and, or and if guard the accesses that are not."""
    if i > 0 and x[i - 1] > x[i]:
        y[i] = 1.0
    if i + 1 == y.extent(0) or x[i + 1] > x[i]:
        y[i] += 2.0


@pk.workunit
def logarithm(i: int, x: pk.View1D[pk.double], y: pk.View2D[pk.float], factor: float):
    y[i // 2][i % 2] = x[i] * factor - x[i] * factor


@pk.workunit
def untouched(i: int, x: pk.View1D[pk.double], n: pk.View1D[pk.int32]):
    n[i] += 1
