"""Every implementation that is measured, one small file each."""

from __future__ import annotations

from bench.peer import Peer
from bench.peers.cusparse_peer import CuSparse
from bench.peers.graphblas_peer import GraphBlas
from bench.peers.kokkos_kernels_peer import KokkosKernels
from bench.peers.mkl_peers import MklCsr, MklDense
from bench.peers.numba_peer import Numba
from bench.peers.octave_peer import Octave
from bench.peers.ours import Ours
from bench.peers.reference_peer import Reference
from bench.peers.scipy_peers import ScipyCsr, ScipyDense
from bench.peers.torch_peer import Torch
from bench.peers.tvm_peer import Tvm


def all_peers() -> dict[str, Peer]:
    """New ones, by their names, in the order of tables and figures."""
    made: list[Peer] = [
        Reference(),
        Octave(),
        ScipyCsr(),
        ScipyDense(drop=False),
        GraphBlas(),
        MklCsr(),
        MklDense(drop=False),
        MklDense(drop=True),
        Torch(drop=False),
        Torch(drop=True),
        KokkosKernels(),
        CuSparse(),
        Numba(drop=False),
        Numba(drop=True),
        Tvm(drop=False),
        Tvm(drop=True),
        Ours("spgemm", "kkspdnn, SpGEMM", kernel="spgemm"),
        Ours("none", "kkspdnn, fused, no row leaves", exits="none"),
        Ours("dead", "kkspdnn, fused, zero rows leave", exits="dead"),
        Ours("all", "kkspdnn, fused, all exits"),
        Ours("fold", "kkspdnn, fused, all exits, folded", fold=True),
        Ours("pykokkos", "kkspdnn, fused, all exits, PyKokkos", front="pykokkos"),
    ]
    return {peer.name: peer for peer in made}
