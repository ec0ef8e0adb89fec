"""Workunits as users of PyKokkos write them: few annotations, all constructs of the language."""

import math
from math import exp, sqrt

import pykokkos as pk


@pk.workunit
def row_sums(i, acc, a, x):
    total: float = 0
    row = a[i, :]
    for j in range(int(row.extent(0))):
        total += row[j] * x[j]
    acc += total


@pk.workunit
def columns(i, a, b, begin, end):
    """Subviews of subviews, of columns, of parts; their indices are computed once."""
    k: int = i
    column = a[begin:end, k, :]
    k += 1
    half = column[1 : end - begin, 2]
    half[0] += 1.0
    for j in range(end - begin - 1):
        b[i][j] = half[j]
    b[i][end - begin - 1] = half.extent(0)
    pk.atomic_add(half, [0], 10.0)


@pk.workunit
def mathematics(i, x, y, out):
    out[i][0] = sqrt(x[i]) + exp(-x[i]) + math.sin(x[i])
    out[i][1] = math.expm1(x[i]) - round(y[i])
    out[i][2] = math.log2(x[i]) + math.log10(x[i]) + math.log1p(x[i])
    out[i][3] = math.cos(x[i]) + math.tan(x[i]) + math.asin(x[i] / 8) + math.acos(x[i] / 8)
    out[i][4] = math.atan(x[i]) + math.atan2(x[i], y[i]) + math.sinh(x[i]) + math.cosh(x[i])
    out[i][5] = math.asinh(x[i]) + math.acosh(x[i] + 1) + math.atanh(x[i] / 8)
    out[i][6] = math.erf(x[i]) + math.erfc(x[i]) + math.lgamma(x[i]) + math.tgamma(x[i])
    out[i][7] = math.trunc(y[i]) + math.copysign(x[i], y[i]) + math.fmod(y[i], x[i])
    out[i][8] = math.hypot(x[i], y[i]) + math.remainder(y[i], x[i]) + abs(y[i])
    out[i][9] = math.degrees(x[i]) + math.radians(x[i]) + math.pi + math.e + math.tau


@pk.workunit
def special_values(i, x, out):
    if math.isnan(x[i]):
        out[i] = 1
    elif math.isinf(x[i]):
        out[i] = 2
    elif math.isfinite(x[i]):
        out[i] = 3
    if x[i] == math.inf:
        out[i] = 4


@pk.workunit
def conversions(i, n, out):
    """abs of both integer types; conversions; names of functions as locals."""
    exp: pk.int64 = abs(n[i] - 5)
    out[i][0] = exp
    out[i][1] = abs(n[i])
    out[i][2] = float(n[i]) / 2
    out[i][3] = bool(n[i] > 2)
    pack: pk.float = pk.float(0.1)
    out[i][4] = pack
    out[i][5] = n[i]
    out[i][5] /= 4
    out[i][6] = 2
    out[i][6] = out[i][6] ** 3


@pk.workunit
def team_sums(team_member, acc, rows, cols, y_view, x_view, a_view):
    e: int = team_member.league_rank()
    s: pk.ScratchView1D[pk.double] = pk.ScratchView1D(team_member.team_scratch(0), cols)

    def load(i: int):
        s[i] = x_view[e][i]

    pk.parallel_for(pk.TeamThreadRange(team_member, cols), load)
    team_member.team_barrier()

    def team_reduce(j: int, team_acc: pk.Acc[float]):
        def vector_reduce(i: int, vector_acc: pk.Acc[float]):
            vector_acc += a_view[e][j][i] * s[i]

        product: float = pk.parallel_reduce(pk.ThreadVectorRange(team_member, cols), vector_reduce)
        team_acc += y_view[e][j] * product

    total: float = pk.parallel_reduce(pk.TeamThreadRange(team_member, rows), team_reduce)

    def add():
        nonlocal acc
        acc += total

    pk.single(pk.PerTeam(team_member), add)


@pk.workunit
def scratch_kinds(m: pk.TeamMember, x: pk.View2D[pk.int32], out: pk.View2D[pk.int32]):
    """Two scratch views of a team, one of each thread, with extents of a view."""
    a: pk.ScratchView2D[pk.int32] = pk.ScratchView2D(m.team_scratch(0), 2, x.extent(1))
    b: pk.ScratchView1D[pk.int64] = pk.ScratchView1D(m.team_scratch(1), 3)
    own: pk.ScratchView1D[pk.int32] = pk.ScratchView1D(m.thread_scratch(0), 1)
    k: int = m.league_rank()

    def fill(j: int):
        a[0][j] = x[k][j]
        a[1][j] = 10 * x[k][j]

    pk.parallel_for(pk.TeamThreadRange(m, int(x.extent(1))), fill)

    def once():
        b[0] = 100
        b[1] = 1000 * a.extent(0)
        b[2] = 0

    pk.single(pk.PerTeam(m), once)
    m.team_barrier()

    def add(j: int):
        own[0] = a[0][j] + a[1][j]
        pk.atomic_add(b, [2], own[0])
        out[k][j] = int(own[0] + b[0] + b[1])

    pk.parallel_for(pk.TeamThreadRange(m, int(x.extent(1))), add)
    m.team_barrier()

    def total():
        out[k][x.extent(1)] = int(b[2])

    pk.single(pk.PerThread(m), total)


@pk.workunit
def outer_sums(team, a, b, c, n1, n2):
    k: int = team.league_rank()

    def pair(i0: int, i1: int):
        a[k][i0][i1] = b[k][i0] + c[i1]

    pk.parallel_for(pk.TeamThreadMDRange(team, n1, n2), pair)
    team.team_barrier()


@pk.workunit
def triples(team, a, n0, n1, n2):
    def triple(i: int, j: int, k: int):
        a[i][j][k] += 100 * i + 10 * j + k

    pk.parallel_for(pk.TeamThreadMDRange(team, n0, n1, n2), triple)


@pk.workunit
def atomics(i: int, n: pk.View1D[pk.int32], d: pk.View1D[pk.double]):
    pk.atomic_add(n, [0], i)
    pk.atomic_increment(n, [1])
    old: int = pk.atomic_compare_exchange(n, [2], 0, 7)
    pk.atomic_add(n, [3], old)
    pk.atomic_fetch_lshift(n, [4], 1)
    pk.atomic_fetch_rshift(n, [5], 1)
    pk.atomic_fetch_mod(n, [6], 10)
    pk.atomic_fetch_max(d, [0], i * 1.5)
    pk.atomic_fetch_min(d, [1], i * 1.5)
    pk.atomic_fetch_mul(d, [2], 2.0)
    pk.atomic_fetch_div(d, [3], 2.0)


@pk.workunit
def report(i, x, n):
    pk.printf('item %d of "%ld": %6.2f%%\n', i, n, x[i])


@pk.workunit
def squares_of_int64(i: pk.int64, acc: pk.Acc[pk.int64], a: pk.View1D[pk.int64]):
    a[i] = i * i
    acc += i * i


@pk.workunit
def squares_of_double(i: float, acc: pk.Acc[pk.double]):
    acc += i * i


@pk.workunit
def products(i: pk.int64, j: pk.int32, k: pk.uint16, a: pk.View3D[pk.int64]):
    a[i][j][k] = i * 3000000000 + j * 10 + k


@pk.workunit
def assigned_items(i, j: int, a):
    value: int = 10 * i + j
    i -= 1
    if j == 2:
        j = 0
    pk.atomic_add(a, [i + 1, j], value + 100 * i)


@pk.function
def half_of(x: pk.View2D[pk.double], i: int, j: int) -> float:
    return x[i][j] / 2


@pk.function
def store(x: pk.View2D[pk.double], i: int, value: float) -> None:
    """Store to all columns; return early for negative numbers."""
    if value < 0:
        return
    for j in range(x.extent(1)):
        x[i][j] = value + half_of(x, i, j)


@pk.function
def sum_of(s: pk.View1D[pk.double], n: int) -> float:
    total: float = 0.0
    for j in range(n):
        total += s[j]
    return total


@pk.workunit
def through_functions(i: int, a: pk.View2D[pk.double], b: pk.View2D[pk.double], out):
    """Functions with views, one without a result; b is read only."""
    store(a, i, b[i][0])
    out[i] = half_of(b, i, 0) + half_of(a, i, 0)


@pk.workunit
def scratch_through_functions(m: pk.TeamMember, n: int, out: pk.View1D[pk.double]):
    s: pk.ScratchView1D[pk.double] = pk.ScratchView1D(m.team_scratch(0), n)

    def fill(j: int):
        s[j] = j + m.league_rank()

    pk.parallel_for(pk.TeamThreadRange(m, n), fill)
    m.team_barrier()

    def once():
        out[m.league_rank()] = sum_of(s, n)

    pk.single(pk.PerTeam(m), once)


@pk.workunit
def loops_over_extents(m: pk.TeamMember, x: pk.View2D[pk.uint8], out: pk.View2D[pk.int32]):
    k: int = m.league_rank()

    def inner(j: int):
        for i in range(1, x.extent(0), 2):
            out[k][j] += k + i + x[i][j]

    pk.parallel_for(pk.TeamThreadRange(m, x.extent(1)), inner)


@pk.function
def count(x: pk.View1D[pk.uint8]) -> int:
    found: int = 0
    for i in range(x.extent(0)):
        if x[i] > 0:
            found += 1
    return found


@pk.workunit
def counts(i: int, x: pk.View1D[pk.uint8], out: pk.View1D[pk.int32]):
    out[i] = count(x)


@pk.workunit
def sums(i: int, acc: pk.Acc[pk.double], x: pk.View1D[pk.double]):
    acc += x[i]
    acc = acc + 1 - x[i]
    acc = 2 * x[i] + acc
    acc -= 0.5
