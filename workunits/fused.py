"""One layer on tiles of input rows: gather, multiply, add, bias and ReLU in one launch.

Activations live in tiles, `x[tile][neuron][lane]`, one input row a lane, so that one index of the
fan-in serves a whole tile and every load is contiguous. Lanes are vector lanes: neighbouring
threads on a GPU, SIMD on a CPU. A team takes one tile and `width` output neurons; the league is
tiles times blocks of neurons.

Parameters without annotation take their types from the launch: x, y, value, bias, zero and ymax are
float32 or float64 together, index is any whole number.

The bias goes to nonzero sums only, as the Sparse DNN Graph Challenge defines it (Kepner et al.,
HPEC 2019), so a row of zeros stays a row of zeros.
"""

import pykokkos as pk


@pk.workunit
def fused_fan_in(
    m: pk.TeamMember,
    x,
    y,
    index,
    value,
    bias,
    zero,
    ymax,
    blocks: int,
    width: int,
    outputs: int,
    fan_in: int,
    lanes: int,
):
    """y = min(max(x W + b, 0), ymax) where every output neuron has `fan_in` edges."""
    tile: int = m.league_rank() // blocks
    first: int = (m.league_rank() % blocks) * width
    count: int = width
    if first + count > outputs:
        count = outputs - first

    def neuron(j: int):
        n: int = first + j
        b: pk.cpp_auto = bias[n]

        def lane(v: int):
            z: pk.cpp_auto = zero
            for k in range(fan_in):
                z += value[n][k] * x[tile][index[n][k]][v]
            if z != 0.0:
                z += b
            if z < 0.0:
                z = 0.0
            if z > ymax:
                z = ymax
            y[tile][n][v] = z

        pk.parallel_for(pk.ThreadVectorRange(m, lanes), lane)

    pk.parallel_for(pk.TeamThreadRange(m, count), neuron)


@pk.workunit
def fused_csr(
    m: pk.TeamMember,
    x,
    y,
    start: pk.View1D[pk.int64],
    index,
    value,
    bias,
    zero,
    ymax,
    blocks: int,
    width: int,
    outputs: int,
    lanes: int,
):
    """y = min(max(x W + b, 0), ymax) for any fan-in: output neuron n has edges start[n] to
    start[n + 1]."""
    tile: int = m.league_rank() // blocks
    first: int = (m.league_rank() % blocks) * width
    count: int = width
    if first + count > outputs:
        count = outputs - first

    def neuron(j: int):
        n: int = first + j
        b: pk.cpp_auto = bias[n]
        begin: pk.int64 = start[n]
        end: pk.int64 = start[n + 1]

        def lane(v: int):
            z: pk.cpp_auto = zero
            e: pk.int64 = begin
            while e < end:
                z += value[e] * x[tile][index[e]][v]
                e += 1
            if z != 0.0:
                z += b
            if z < 0.0:
                z = 0.0
            if z > ymax:
                z = ymax
            y[tile][n][v] = z

        pk.parallel_for(pk.ThreadVectorRange(m, lanes), lane)

    pk.parallel_for(pk.TeamThreadRange(m, count), neuron)
