"""Every implementation that is measured, one small file each."""

from __future__ import annotations

from bench.peer import Peer
from bench.peers.cusparse_peer import CuSparse, CuSparseDense
from bench.peers.graphblas_peer import GraphBlas
from bench.peers.hand_peer import HandPeer
from bench.peers.kokkos_kernels_peer import KokkosKernels
from bench.peers.mkl_peers import MklCsr, MklDense
from bench.peers.numba_peer import Numba
from bench.peers.octave_peer import Octave
from bench.peers.ours import Ours
from bench.peers.reference_peer import Reference
from bench.peers.scipy_peers import ScipyCsr, ScipyDense
from bench.peers.torch_peer import Torch
from bench.peers.tvm_peer import Tvm


def all_peers(space: str = "openmp") -> dict[str, Peer]:
    """New ones, by their names, in the order of tables and figures.

    space: openmp, or cuda for those that compute on a GPU, and the reference
    """
    made = _on_gpu() if space == "cuda" else _on_cpu()
    return {peer.name: peer for peer in made}


def _on_gpu() -> list[Peer]:
    return [
        Reference(),
        CuSparse(),
        CuSparseDense(drop=False),
        CuSparseDense(drop=True),
        Torch(drop=False, gpu=True),
        Torch(drop=True, gpu=True),
        HandPeer(),
        Ours("spgemm", "kkspdnn, SpGEMM", kernel="spgemm", space="cuda"),
        Ours("none", "kkspdnn, fused, no row leaves", exits="none", space="cuda"),
        Ours("dead", "kkspdnn, fused, zero rows leave", exits="dead", space="cuda"),
        Ours("all", "kkspdnn, fused, all exits", space="cuda"),
        Ours("fold", "kkspdnn, fused, all exits, folded", fold=True, space="cuda"),
    ]


def _on_cpu() -> list[Peer]:
    return [
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
