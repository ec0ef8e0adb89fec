"""PyTorch: a sparse CSR tensor times a dense one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.peer import missing, package_version
from bench.peers.dense import DensePeer
from bench.peers.gpu import CHUNK, missing_on_gpu
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.network import Network


class Torch(DensePeer):
    """torch.sparse_csr_tensor @ dense."""

    name = "torch"
    label = "PyTorch, CSR x dense"

    def __init__(self, drop: bool, gpu: bool = False) -> None:
        super().__init__(drop)
        self.gpu = gpu
        self._device = "cuda" if gpu else "cpu"
        if gpu:
            self.chunk = CHUNK

    def available(self) -> str | None:
        here = missing_on_gpu if self.gpu else missing
        return here("torch", "PyTorch")

    def version(self) -> str:
        return package_version("torch")

    def prepare(self, network: Network, inputs: Inputs, threads: int) -> float:
        import torch

        torch.set_num_threads(threads)
        return super().prepare(network, inputs, threads)

    def matrix(self, csr: Any) -> Any:
        import torch

        parts = (csr.indptr.astype(np.int64), csr.indices.astype(np.int64), csr.data)
        tensors = [torch.from_numpy(part.copy()) for part in parts]
        made = torch.sparse_csr_tensor(*tensors, size=csr.shape, check_invariants=False)
        return made.to(self._device)

    def array(self, dense: NDArray[np.float32]) -> Any:
        import torch

        return torch.from_numpy(dense).to(self._device)

    def multiply(self, weights: Any, a: Any) -> Any:
        return weights @ a

    def layer(self, a: Any, weights: Any, bias: np.float32) -> Any:
        return self.multiply(weights, a).add_(float(bias)).clamp_(0, 32)

    def living(self, a: Any) -> NDArray[np.bool_]:
        return np.asarray((a != 0).any(dim=0).cpu().numpy())

    def columns(self, a: Any, chosen: NDArray[np.bool_]) -> Any:
        import torch

        return a[:, torch.from_numpy(chosen).to(self._device)].contiguous()
