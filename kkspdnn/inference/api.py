"""The public function `infer`."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from numpy.typing import DTypeLike

from kkspdnn.choices import EXITS, KERNELS, PARALLEL, VERIFY, Exits, Kernel, Parallel, Verify
from kkspdnn.device.errors import translate_cupy_errors
from kkspdnn.device.memory import Budget
from kkspdnn.device.space import check_device, check_space_name
from kkspdnn.errors import check_choice
from kkspdnn.inference.request import Progress, Request
from kkspdnn.inference.result import Result
from kkspdnn.inference.run import execute
from kkspdnn.model.ieee import ieee_arithmetic
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.matrices import float_dtype
from kkspdnn.model.network import Network, check_network
from kkspdnn.parallel.affinity import bind_rank
from kkspdnn.parallel.ranks import Ranks
from kkspdnn.pk.build.toolchain import machine
from kkspdnn.records.host_load import LoadMeter


@translate_cupy_errors
@ieee_arithmetic()
def infer(
    network: Network,
    inputs: Any,
    *,
    space: str = "openmp",
    kernel: Kernel = "fused",
    exits: Exits = "all",
    dtype: DTypeLike | None = None,
    threads: int | None = None,
    device: int | None = None,
    fold: bool = False,
    verification: Verify = "none",
    values: bool = False,
    memory: float | None = None,
    progress: Progress | None = None,
    comm: Any = None,
    parallel: Parallel = "auto",
    checkpoint: str | os.PathLike[str] | None = None,
) -> Result:
    """Run input rows through a network: Y' = min(max(Y W + b, 0), ymax), layer after layer.

    inputs: Inputs, or a SciPy sparse matrix or 2-D NumPy array of shape (rows, neurons)
    space: serial, openmp or cuda; kernel: fused (tiles) or spgemm (CSR times CSR)
    exits: which rows leave early in the fused kernel: none, dead (rows of zeros) or all (also rows
    of ymax that provably stay so)
    dtype: float32 or float64; None: the network's
    threads: OpenMP threads; None: OMP_NUM_THREADS, else all cores
    device: which GPU, within CUDA_VISIBLE_DEVICES; None: KOKKOS_DEVICE_ID, else the first, or with
    ranks a GPU for each, as far as the node has them
    fold: merge equal neurons, see kkspdnn.model.neuron_merging; `values` has all outputs
    verification: none, sample or full, against the serial reference; the verdict is in the
    record; values: keep the activations of the living rows
    memory: gigabytes (10^9 bytes) that this process may take in all, now and while it runs: Python
    with its libraries, the network and the input rows that it holds already, layers as the kernels
    take them, and activations. Layers that do not fit are made again on each use, and input rows go
    through in parts. Only `values` and a full verification may come on top, where many rows live.
    None: layers, and then activations, take at most 40 % of the free memory each

    comm: an mpi4py communicator, or Ranks: its ranks share the work. Every rank calls this with the
    same network, inputs and options, and gets the categories and the record; values on rank 0 only.
    Where one rank may fail alone, start the script with `python -m mpi4py`: it ends the others
    parallel: data (each rank takes some of the rows; the ranks of a node hold the layers once),
    pipeline (each takes some of the layers) or auto: pipeline only where the layers are too large
    for a node or GPU, but not for all ranks together
    checkpoint: a folder for finished parts of the rows, which all nodes share; where it has some of
    the same network, rows and options, these are not computed again

    Raises InputError for a network or inputs that cannot be used, SpaceError, ToolchainError and
    CacheError for what this machine lacks.
    """
    check_device(device, check_space_name(space))
    check_choice("kernel", kernel, KERNELS)
    check_choice("exits", exits, EXITS)
    check_choice("verification", verification, VERIFY)
    check_choice("parallel", parallel, PARALLEL)
    check_network(network)
    ranks = Ranks.from_comm(comm)
    given = Inputs.from_any(inputs)
    given.check_neurons(network.inputs)
    kind = network.dtype if dtype is None else float_dtype(dtype)
    meter = LoadMeter()
    here = machine()  # before OpenMP may bind this thread to a core, as the user may ask it to
    with bind_rank(ranks, space, threads, device) as gpu:
        request = Request(
            ranks=ranks,
            network=network.astype(kind),
            inputs=given,
            dtype=kind,
            space=space,
            threads=threads,
            device=gpu.device,
            kernel=kernel,
            exits=exits,
            fold=fold,
            verification=verification,
            values=values,
            budget=replace(
                Budget.from_gigabytes(memory),
                processes=ranks.local_size,
                device_processes=gpu.ranks,
            ),
            parallel=parallel,
            checkpoint=None if checkpoint is None else Path(checkpoint),
            tell=progress if progress is not None else _silent,
            meter=meter,
            machine=here,
        )
        request.check_alike()
        result = execute(request)
    if ranks is not comm:
        ranks.close()
    return result


def _silent(_doing: str, _done: float) -> None:
    pass
