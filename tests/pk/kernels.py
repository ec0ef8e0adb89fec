"""Workunits that together use all constructs of the language.

Those under "also plain Python" have the same result if Python itself runs them item by item, which
their tests compare with.
"""

import math
from typing import List

import pykokkos as pk

# ---- also plain Python ------------------------------------------------------------------------


@pk.workunit
def control_flow(i: int, n: pk.View1D[pk.int32], out: pk.View2D[pk.int64]):
    """Ranges in both directions, while, break, continue, elif, local arrays, early return."""
    top: int = n[i]
    total: pk.int64 = 0
    for j in range(top):
        total += j
    out[i][0] = total
    total = 0
    for j in range(3, top):
        if j == 5:
            continue
        if j > 9:
            break
        total += 10 * j
    out[i][1] = total
    total = 0
    for j in range(top, -4, -3):
        total = total * 3 + j
    out[i][2] = total
    total = 0
    for j in range(0, top, 4):
        for k in range(j, top, 2):
            if k % 3 == 0:
                break
            total += j * k
    out[i][3] = total
    e: pk.int64 = top
    e = e << 33
    steps: int = 0
    while e > 1:
        e = e >> 1
        steps += 1
        if steps == 20:
            continue
        if steps > 39:
            break
    out[i][4] = steps
    out[i][5] = e
    if top < 0:
        out[i][6] = -1
    elif top == 0:
        out[i][6] = 0
    elif top < 10 and not (top == 7 or top == 8):
        out[i][6] = 1
    else:
        out[i][6] = 2
    tally: List[pk.int64] = [0, 10, 20, 30]
    for j in range(4):
        tally[j] += top
        tally[3 - j] -= 1
    out[i][7] = tally[0] + 1000 * tally[1] + 1000000 * tally[3]
    if top > 12:
        return
    pass  # noqa: PIE790
    out[i][8] = out.extent(1)


@pk.function
def clamp(x: float, low: float, high: float) -> float:
    if x < low:
        return low
    if x > high:
        return high
    return x


@pk.function
def twice_clamped(x: float, n: int) -> float:
    y: float = 0.0
    for j in range(0):
        y += 1.0
    for k in range(n):
        y += clamp(x, -1.0, k + 0.5)
    return y


@pk.function
def parity(n: int) -> bool:
    return n % 2 == 1


@pk.workunit
def functions(i: int, x: pk.View1D[pk.double], out: pk.View1D[pk.double]):
    out[i] = twice_clamped(x[i], 3) + clamp(x[i], 0.0, 0.25)
    if parity(i):
        out[i] += 100.0


# ---- operators, types, math -------------------------------------------------------------------


@pk.workunit
def operators(
    i: int,
    a: pk.View1D[pk.int32],
    b: pk.View1D[pk.int32],
    u: pk.View1D[pk.uint64],
    x: pk.View1D[pk.double],
    y: pk.View1D[pk.double],
    whole: pk.View2D[pk.int64],
    real: pk.View2D[pk.double],
    shifted: pk.View1D[pk.uint64],
):
    p: int = a[i]
    q: int = b[i]
    whole[0][i] = p + q
    whole[1][i] = p - q
    whole[2][i] = p * q
    whole[3][i] = p // q
    whole[4][i] = p % q
    whole[5][i] = p & q
    whole[6][i] = p | q
    whole[7][i] = p ^ q
    whole[8][i] = ~p
    whole[9][i] = -p
    whole[10][i] = +p
    whole[11][i] = (p & 255) << 3
    whole[12][i] = p >> 2
    whole[13][i] = int(x[i])
    whole[14][i] = p < q
    whole[15][i] = p <= q
    whole[16][i] = p > q
    whole[17][i] = p >= q
    whole[18][i] = p == q
    whole[19][i] = p != q
    whole[20][i] = (p < 0 and q < 0) or not p > q
    w: pk.int64 = p
    w += q
    w -= 3
    w *= q
    whole[21][i] = w
    w %= 1000
    w |= 8
    w &= 1023
    w ^= 5
    w <<= 2
    w >>= 1
    whole[22][i] = w
    r: int = p
    r //= q
    whole[23][i] = r
    flag: bool = p > 3
    whole[24][i] = flag and True
    whole[25][i] = 5000000000
    real[0][i] = x[i] + y[i]
    real[1][i] = x[i] - y[i]
    real[2][i] = x[i] * y[i]
    real[3][i] = x[i] / y[i]
    real[4][i] = p / q
    real[5][i] = x[i] ** 2
    real[6][i] = x[i] + p
    z: float = x[i]
    z += y[i]
    z *= 2
    z -= p
    real[7][i] = z
    real[8][i] = 1e-3 + 2.5e300 * 0.0 + 0.1
    shifted[i] = (u[i] >> 3) ^ (u[i] << (i & 7))


@pk.workunit
def mathematics(
    i: int, x: pk.View1D[pk.double], y: pk.View1D[pk.double], out: pk.View2D[pk.double]
):
    out[0][i] = math.sqrt(x[i])
    out[1][i] = math.fabs(y[i])
    out[2][i] = math.exp(y[i])
    out[3][i] = math.log(x[i])
    out[4][i] = math.floor(y[i])
    out[5][i] = math.ceil(y[i])
    out[6][i] = math.tanh(y[i])
    out[7][i] = math.fmin(x[i], y[i])
    out[8][i] = math.fmax(x[i], y[i])
    out[9][i] = math.pow(x[i], y[i])


@pk.workunit
def every_view(
    i: int,
    a: pk.View1D[pk.int8],
    b: pk.View1D[pk.int16],
    c: pk.View1D[pk.int32],
    d: pk.View1D[pk.int64],
    e: pk.View1D[pk.uint8],
    f: pk.View1D[pk.uint16],
    g: pk.View1D[pk.uint32],
    h: pk.View1D[pk.uint64],
    r: pk.View1D[pk.float],
    s: pk.View1D[pk.double],
    out_a: pk.View2D[pk.int8],
    out_b: pk.View2D[pk.int16],
    out_c: pk.View2D[pk.int32],
    out_d: pk.View2D[pk.int64],
    out_e: pk.View2D[pk.uint8],
    out_f: pk.View2D[pk.uint16],
    out_g: pk.View2D[pk.uint32],
    out_h: pk.View2D[pk.uint64],
    out_r: pk.View3D[pk.float],
    out_s: pk.View3D[pk.double],
):
    out_a[1][i] = a[i]
    out_b[1][i] = b[i]
    out_c[1][i] = c[i]
    out_d[1][i] = d[i]
    out_e[1][i] = e[i]
    out_f[1][i] = f[i]
    out_g[1][i] = g[i]
    out_h[1][i] = h[i]
    out_r[1][i][2] = r[i]
    out_s[1][i][2] = s[i]


@pk.workunit
def every_number(
    i: int,
    a: pk.int8,
    b: pk.int16,
    c: pk.int32,
    d: pk.int64,
    e: pk.uint8,
    f: pk.uint16,
    g: pk.uint32,
    h: pk.uint64,
    r: pk.float,
    s: pk.double,
    n: int,
    x: float,
    flag: bool,
    wide: pk.View1D[pk.int64],
    last: pk.View1D[pk.uint64],
    real: pk.View1D[pk.double],
):
    wide[0] = a
    wide[1] = b
    wide[2] = c
    wide[3] = d
    wide[4] = e
    wide[5] = f
    wide[6] = g
    wide[7] = n
    wide[8] = flag
    last[0] = h
    real[0] = r
    real[1] = s
    real[2] = x


@pk.workunit
def extents(i: int, a: pk.View3D[pk.float], out: pk.View1D[pk.int64]):
    out[0] = a.extent(0)
    out[1] = a.extent(1)
    out[2] = a.extent(2)


@pk.workunit
def generic(i: int, x, y, scale):
    """The launch sets the type: float32 or float64."""
    doubled: pk.cpp_auto = x[i]
    doubled += x[i]
    y[i] = doubled * scale


@pk.workunit
def names_of_cpp_neighbours(
    j: int, j_end: int, x: pk.View1D[pk.int32], x_0: int, policy_begin: int, p: int, functor: int
):
    """Names that the generated code could use itself."""
    total: int = 0
    label: int = 1
    result: int = 2
    k_end: int = 7
    for k in range(k_end):
        total += k_end
    for k in range(2):
        k_end += 1
    x[j] = total + j_end + x_0 + policy_begin + p + functor + label + result + k_end


# ---- reductions and scans ---------------------------------------------------------------------


@pk.workunit
def dot(i: int, total: pk.Acc[pk.double], x: pk.View1D[pk.double], y: pk.View1D[pk.double]):
    total += x[i] * y[i]


@pk.workunit
def count_long(i: int, total: pk.Acc[pk.int64], step: pk.int64):
    total += step


@pk.workunit
def count_short(i: int, total: pk.Acc[pk.int32]):
    if i % 3 == 0:
        return
    total += 1


@pk.workunit
def sum_float(i: int, total: pk.Acc[pk.float], x: pk.View1D[pk.float]):
    total += x[i]


@pk.workunit
def running_sum(
    i: int,
    total: pk.Acc[pk.int64],
    last: bool,
    x: pk.View1D[pk.int64],
    before: pk.View1D[pk.int64],
    after: pk.View1D[pk.int64],
):
    if last:
        before[i] = total
    total += x[i]
    if last:
        after[i] = total


# ---- several indices --------------------------------------------------------------------------


@pk.workunit
def count_visits(i: int, j: int, visits: pk.View2D[pk.int32], place: pk.View2D[pk.int32]):
    visits[i][j] += 1
    place[i][j] = 1000 * i + j


@pk.workunit
def number_visits(i: int, j: int, place: pk.View2D[pk.int64], next_place: pk.View1D[pk.int64]):
    place[i][j] = next_place[0]
    next_place[0] += 1


@pk.workunit
def count_visits_3d(i, j, k, visits):
    visits[i][j][k] += 1


@pk.workunit
def visits_6d(a: int, b: int, c: int, d: int, e: int, f: int, digits: pk.View1D[pk.int32]):
    pk.atomic_fetch_add(digits, [((((a * 3 + b) * 3 + c) * 3 + d) * 3 + e) * 3 + f], 1)


@pk.workunit
def sum_2d(i: int, j, total: pk.Acc[pk.int64], x: pk.View2D[pk.int64]):
    total += x[i][j]


# ---- teams ------------------------------------------------------------------------------------


@pk.workunit
def two_deep(
    m: pk.TeamMember, x: pk.View3D[pk.double], y: pk.View3D[pk.double], rows: int, lanes: int
):
    tile: int = m.league_rank()

    def row(j: int):
        factor: float = j + 1.0

        def lane(v: int):
            acc: float = 0.0
            for k in range(j + 1):
                acc += x[tile][k][v]
            if acc < 0.0:
                acc = 0.0
            y[tile][j][v] = acc * factor

        pk.parallel_for(pk.ThreadVectorRange(m, lanes), lane)

    pk.parallel_for(pk.TeamThreadRange(m, rows), row)


@pk.workunit
def lanes_of(m: pk.TeamMember, x, y, bias, zero, top):
    """The arithmetic of a layer, on SIMD lanes."""
    tile: int = m.league_rank()

    def neuron(j: int):
        def lane(v: int):
            z: pk.cpp_auto = zero
            for k in range(3):
                z += bias[k] * x[tile][k][v]
            if z != zero:
                z += bias[j]
            if z < zero:
                z = zero
            if z > top:
                z = top
            y[tile][j][v] = z

        pk.parallel_for(pk.ThreadVectorRange(m, int(x.extent(2))), lane)

    pk.parallel_for(pk.TeamThreadRange(m, int(y.extent(1))), neuron)


@pk.workunit
def many_lanes_of(m: pk.TeamMember, x, y, counts: pk.View2D[pk.uint8], factor):
    """More vectors than get four registers each, one of them in an inner block, and bytes."""
    tile: int = m.league_rank()

    def lane(v: int):
        z0: pk.cpp_auto = factor * counts[tile][v]
        z1: pk.cpp_auto = x[tile][0][v]
        z2: pk.cpp_auto = z0
        for k in range(3):
            z3: pk.cpp_auto = x[tile][k][v]
            z0 += z3 * z1
            if z2 < z3:
                z2 = z3
        y[tile][0][v] = z0
        y[tile][1][v] = z2 - z1

    pk.parallel_for(pk.ThreadVectorRange(m, int(x.extent(2))), lane)


@pk.workunit
def lanes_of_bytes(
    m: pk.TeamMember,
    x: pk.View3D[pk.uint8],
    y: pk.View3D[pk.uint8],
    z: pk.View3D[pk.uint8],
    limit: int,
):
    """Bytes alone in SIMD lanes: sums are modulo 256; comparisons are of bytes, and a comparison
    with another int is not vectorized."""
    tile: int = m.league_rank()

    def neuron(j: int):
        def lane(v: int):
            total: pk.uint8 = 250
            most: pk.uint8 = x[tile][0][v]
            for k in range(3):
                total += x[tile][k][v]
                if x[tile][k][v] > most:
                    most = x[tile][k][v]
            if total <= 200:
                total -= most
            y[tile][j][v] = total
            y[tile][j + 1][v] = most

        def beyond(v: int):
            total: pk.uint8 = x[tile][0][v]
            if total > limit:
                total = 1
            if total < 300:
                total += x[tile][1][v]
            z[tile][j][v] = total

        pk.parallel_for(pk.ThreadVectorRange(m, int(x.extent(2))), lane)
        pk.parallel_for(pk.ThreadVectorRange(m, int(x.extent(2))), beyond)

    pk.parallel_for(pk.TeamThreadRange(m, 1), neuron)


@pk.workunit
def team_sums(
    m: pk.TeamMember,
    x: pk.View2D[pk.double],
    out: pk.View2D[pk.double],
    counts: pk.View1D[pk.int64],
):
    """Reductions over threads, over lanes inside threads, and a barrier between phases."""
    row: int = m.league_rank()
    columns: int = int(x.extent(1))

    def element(j: int, acc: pk.Acc[pk.double]):
        acc += x[row][j]

    total: float = pk.parallel_reduce(pk.TeamThreadRange(m, columns), element)

    def tail(j: int, acc: pk.Acc[pk.double]):
        acc += x[row][j]

    late: float = pk.parallel_reduce(pk.TeamThreadRange(m, 2, columns), tail)

    def scaled(j: int):
        def even(v: int, count: pk.Acc[pk.int64]):
            if (j + v) % 2 == 0:
                count += 1

        evens: pk.int64 = pk.parallel_reduce(pk.ThreadVectorRange(m, columns), even)
        out[row][j] = x[row][j] - total + late * 2 + 1000 * evens

    pk.parallel_for(pk.TeamThreadRange(m, columns), scaled)
    m.team_barrier()

    def sum_of_all(j: int, acc: pk.Acc[pk.double]):
        acc += out[row][j]

    everything: float = pk.parallel_reduce(pk.TeamThreadRange(m, columns), sum_of_all)
    if m.team_rank() == 0:
        out[row][columns] = everything
        counts[row] = m.team_size()


@pk.workunit
def team_reduction(m: pk.TeamMember, total: pk.Acc[pk.double], x: pk.View2D[pk.double]):
    row: int = m.league_rank()

    def element(j: int, acc: pk.Acc[pk.double]):
        acc += x[row][j]

    mine: float = pk.parallel_reduce(pk.TeamThreadRange(m, int(x.extent(1))), element)
    if m.team_rank() == 0:
        total += mine


# ---- atomics ----------------------------------------------------------------------------------


@pk.workunit
def atomics(
    i: int,
    key: pk.View1D[pk.int32],
    whole: pk.View2D[pk.int64],
    small: pk.View1D[pk.uint32],
    real: pk.View1D[pk.double],
    slot: pk.View1D[pk.int32],
    used: pk.View1D[pk.int32],
):
    k: int = key[i]
    pk.atomic_fetch_add(whole, [0, k], 2)
    pk.atomic_fetch_sub(whole, [1, k], i)
    pk.atomic_fetch_max(whole, [2, k], i)
    pk.atomic_fetch_min(whole, [3, k], i)
    pk.atomic_fetch_and(small, [0], ~(1 << k))
    pk.atomic_fetch_or(small, [1], 1 << k)
    pk.atomic_fetch_xor(small, [2], 1 << k)
    pk.atomic_fetch_add(real, [k], 0.5)
    index: int = pk.atomic_fetch_add(used, [0], 1)
    slot[index] = i


# ---- long ranges and large views --------------------------------------------------------------


@pk.workunit
def running_count(i: int, total: pk.Acc[pk.int64], last: bool, at: int, out: pk.View1D[pk.int64]):
    total += 1
    if last:
        if i == at:
            out[0] = total


@pk.workunit
def mark(i: int, flags: pk.View1D[pk.uint8]):
    flags[i] += 1


@pk.workunit
def touch_1(w: int, view: pk.View1D[pk.uint8], i: pk.int64):
    view[i] = 7


@pk.workunit
def touch_2(w: int, view: pk.View2D[pk.uint8], i: int, j: int):
    view[i][j] = 7


@pk.workunit
def touch_3(w: int, view: pk.View3D[pk.uint8], i: int, j: int, k: int):
    view[i][j][k] = 7
