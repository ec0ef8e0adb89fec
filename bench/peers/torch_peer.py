"""PyTorch: sparse CSR weights times dense activations, on a CPU or a GPU."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.peer import missing_package, package_version
from bench.peers.dense import DensePeer
from bench.peers.gpu import CHUNK, missing_gpu_package
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
        check = missing_gpu_package if self.gpu else missing_package
        return check("torch", "PyTorch")

    def version(self) -> str:
        return package_version("torch")

    def prepare(self, network: Network, inputs: Inputs, threads: int) -> float:
        import torch

        torch.set_num_threads(threads)
        return super().prepare(network, inputs, threads)

    def matrix(self, csr: Any) -> Any:
        import torch

        arrays = (csr.indptr.astype(np.int64), csr.indices.astype(np.int64), csr.data)
        tensors = [torch.from_numpy(array.copy()) for array in arrays]
        matrix = torch.sparse_csr_tensor(*tensors, size=csr.shape, check_invariants=False)
        return matrix.to(self._device)

    def array(self, dense: NDArray[np.float32]) -> Any:
        import torch

        return torch.from_numpy(dense).to(self._device)

    def multiply(self, weights: Any, a: Any) -> Any:
        return weights @ a

    def layer(self, a: Any, weights: Any, bias: np.float32) -> Any:
        return self.multiply(weights, a).add_(float(bias)).clamp_(0, 32)

    def active_columns(self, a: Any) -> NDArray[np.bool_]:
        return np.asarray((a != 0).any(dim=0).cpu().numpy())

    def select_columns(self, a: Any, selected: NDArray[np.bool_]) -> Any:
        import torch

        return a[:, torch.from_numpy(selected).to(self._device)].contiguous()
