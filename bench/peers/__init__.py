"""The peers: implementations that `python -m bench run` times, one per file."""

from __future__ import annotations

from bench.peer import Peer
from bench.peers.cusparse_peer import CuSparse, CuSparseDense
from bench.peers.graphblas_peer import GraphBlas
from bench.peers.hand_written_peer import HandWrittenPeer
from bench.peers.kkspdnn_peer import Kkspdnn
from bench.peers.kokkos_kernels_peer import KokkosKernels
from bench.peers.mkl_peers import MklCsr, MklDense
from bench.peers.numba_peer import Numba
from bench.peers.octave_peer import Octave
from bench.peers.reference_peer import Reference
from bench.peers.scipy_peers import ScipyCsr, ScipyDense
from bench.peers.torch_peer import Torch
from bench.peers.tvm_peer import Tvm


def all_peers(space: str = "openmp") -> dict[str, Peer]:
    """Return new peers by their names, in the order of tables and figures.

    space: openmp for peers on a CPU; cuda for peers on a GPU and the serial reference
    """
    peers = _gpu_peers() if space == "cuda" else _cpu_peers()
    return {peer.name: peer for peer in peers}


def _gpu_peers() -> list[Peer]:
    return [
        Reference(),
        CuSparse(),
        CuSparseDense(drop=False),
        CuSparseDense(drop=True),
        Torch(drop=False, gpu=True),
        Torch(drop=True, gpu=True),
        HandWrittenPeer(),
        Kkspdnn("spgemm", "kkspdnn, SpGEMM", kernel="spgemm", exits="none", space="cuda"),
        Kkspdnn("none", "kkspdnn, fused, no early exit", exits="none", space="cuda"),
        Kkspdnn("dead", "kkspdnn, fused, zero rows dropped", exits="dead", space="cuda"),
        Kkspdnn("all", "kkspdnn, fused, early exit", space="cuda"),
        Kkspdnn("fold", "kkspdnn, fused, early exit, merged neurons", fold=True, space="cuda"),
    ]


def _cpu_peers() -> list[Peer]:
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
        Kkspdnn("spgemm", "kkspdnn, SpGEMM", kernel="spgemm", exits="none"),
        Kkspdnn("none", "kkspdnn, fused, no early exit", exits="none"),
        Kkspdnn("dead", "kkspdnn, fused, zero rows dropped", exits="dead"),
        Kkspdnn("all", "kkspdnn, fused, early exit"),
        Kkspdnn("fold", "kkspdnn, fused, early exit, merged neurons", fold=True),
        Kkspdnn("pykokkos", "kkspdnn, fused, early exit, PyKokkos", implementation="pykokkos"),
    ]
