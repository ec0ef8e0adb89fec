"""The public function `infer`."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from numpy.typing import DTypeLike

from kkspdnn.choices import (
    EPILOGUES,
    EXITS,
    KERNEL_OPTIONS,
    PARALLEL,
    VERIFY,
    Epilogue,
    Exits,
    KernelOption,
    Parallel,
    SpaceName,
    Verify,
)
from kkspdnn.device.errors import translate_cupy_errors
from kkspdnn.device.memory import Budget
from kkspdnn.device.space import check_device, check_space_name
from kkspdnn.errors import InputError, check_choice
from kkspdnn.inference.request import Request
from kkspdnn.inference.result import Result
from kkspdnn.inference.run import execute
from kkspdnn.model.checks import check_flags, check_whole
from kkspdnn.model.ieee import ieee_arithmetic
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.matrices import float_dtype
from kkspdnn.model.network import Network, check_network
from kkspdnn.parallel.affinity import bind_rank
from kkspdnn.parallel.ranks import Ranks
from kkspdnn.pk.build.toolchain import machine
from kkspdnn.progress import Progress, open_progress
from kkspdnn.records.host_load import LoadMeter
from kkspdnn.tuning.store import is_enabled


@translate_cupy_errors
@ieee_arithmetic()
def infer(
    network: Network,
    inputs: Any,
    *,
    space: SpaceName = "openmp",
    kernel: KernelOption = "fused",
    epilogue: Epilogue = "fused",
    exits: Exits = "all",
    dtype: DTypeLike | None = None,
    threads: int | None = None,
    device: int | None = None,
    fold: bool = False,
    tune: bool = True,
    verify: Verify = "none",
    values: bool = False,
    repeat: int = 1,
    memory: float | None = None,
    progress: Progress = None,
    comm: Any = None,
    parallel: Parallel = "auto",
    checkpoint: str | os.PathLike[str] | None = None,
) -> Result:
    """Compute input rows through all layers of a network, and return the categories.

    Each layer computes Y' = min(max(Y W + b, 0), ymax) from the activations Y, the weights W and
    the biases b. The categories are the input rows with any nonzero value after the last layer.

    network: the layers and the upper limit ymax
    inputs: the input rows, of shape (rows, neurons): Inputs, a SciPy sparse matrix, a NumPy array,
    or a PyTorch tensor or another array with DLPack in CPU memory
    space: the execution space: openmp, serial or cuda
    kernel: fused (tiles of rows pass through several layers at a time), spgemm (one sparse matrix
    product in CSR for each layer) or auto (on a CPU, spgemm if few activations of a sample of the
    rows are nonzero; otherwise fused)
    epilogue: bias and ReLU of the spgemm kernel: fused (in the SpGEMM workunit) or separate
    (workunits of their own, as in KK-SpDNN, and always on a GPU); both return the same values
    exits: early exit of rows: all (a row is dropped once its final output is proven to be zero or
    saturated at ymax), dead (rows of zeros only) or none; dead and none compute the same with
    spgemm, which stores no zeros
    dtype: float32 or float64; None: the dtype of the network
    threads: the number of OpenMP threads; None: OMP_NUM_THREADS if set, otherwise one for each core
    device: the number of the GPU within CUDA_VISIBLE_DEVICES; None: KOKKOS_DEVICE_ID if set,
    otherwise the first GPU, or with several ranks a GPU for each rank while the node has enough
    fold: neuron merging: equal neurons are computed once, see kkspdnn.model.neuron_merging
    tune: whether to use launch parameters that `tune` kept for this machine and network; the record
    says which were used
    verify: comparison with the serial reference: none, sample (some rows) or full (all rows);
    the record has the verdict
    values: whether to return the activations of the categories after the last layer
    repeat: how many times to compute the rows. Loading, compiling and packing are done once. The
    record has all times of inference and their median, and results are those of the last time
    memory: the memory budget of this process in gigabytes (10^9 bytes); None: the free memory
    progress: True for a progress bar on a terminal or in a notebook, by rank 0; or a function that
    is called with the name of the current step and its completed fraction, 0 to 1
    comm: an mpi4py communicator, or Ranks, whose ranks divide the work; None: this process alone
    parallel: how ranks divide the work: data (each computes some of the rows through all layers),
    pipeline (each computes some of the layers for all rows) or auto (a pipeline only if the layers
    are too large for one node or GPU, but not for all of them)
    checkpoint: a folder, visible on all nodes, in which the results of finished rows are saved; a
    later call with the same network, rows and options resumes from it

    The memory budget covers the whole process: Python and its libraries, the network and the input
    rows that are in memory already, packed layers and activations. Packed layers may use 40 % of
    the free part of the budget, and activations 40 % of the remainder. Layers that do not fit are
    packed again on each use, and rows are computed in batches. Only the values, and a full
    verification, may exceed the budget if many rows have nonzero values.

    With several ranks, every rank calls this function with the same arguments. Every rank returns
    the categories and the record; only rank 0 returns the values. If a rank may fail by itself,
    start the script with `python -m mpi4py`, so that its failure ends the other ranks as well.

    Raises InputError for a network, inputs or options that are invalid, SpaceError if this machine
    lacks the execution space, ToolchainError if workunits cannot be compiled, and CacheError if the
    cache folder cannot be used.
    """
    _check_choices(space, device, kernel, epilogue, exits, verify, parallel)
    check_flags(fold=fold, tune=tune, values=values)
    rows = _check_inputs(network, inputs)
    ranks = Ranks.from_comm(comm)
    run_dtype = network.dtype if dtype is None else float_dtype(dtype)
    load_meter = LoadMeter()
    # Before OpenMP starts, which may bind this thread to a single core.
    description = machine()
    binding = bind_rank(ranks, space, threads, device)
    with open_progress(progress, ranks.rank == 0) as on_progress, binding as gpu:
        request = Request(
            ranks=ranks,
            network=network.astype(run_dtype),
            inputs=rows,
            dtype=run_dtype,
            space=space,
            threads=threads,
            device=gpu.device,
            kernel=kernel,
            epilogue=epilogue,
            exits=exits,
            fold=fold,
            tune=tune and is_enabled(),
            verify=verify,
            values=values,
            repeat=_check_repeat(repeat, checkpoint),
            budget=_shared_budget(memory, ranks.local_size, gpu.ranks),
            parallel=parallel,
            checkpoint=None if checkpoint is None else Path(checkpoint),
            on_progress=on_progress,
            load_meter=load_meter,
            machine=description,
        )
        request.check_same_on_all_ranks()
        result = execute(request)
    if ranks is not comm:
        ranks.close()
    return result


def _check_choices(
    space: SpaceName,
    device: int | None,
    kernel: KernelOption,
    epilogue: Epilogue,
    exits: Exits,
    verify: Verify,
    parallel: Parallel,
) -> None:
    """Raise InputError for an unknown choice, or for choices that exclude each other.

    Raises SpaceError for an unknown execution space, and for a device without CUDA.
    """
    check_device(device, check_space_name(space))
    check_choice("kernel", kernel, KERNEL_OPTIONS)
    check_choice("epilogue", epilogue, EPILOGUES)
    check_choice("exits", exits, EXITS)
    check_choice("verify", verify, VERIFY)
    check_choice("parallel", parallel, PARALLEL)
    if epilogue == "separate" and kernel != "spgemm":
        raise InputError("epilogue 'separate' is for kernel spgemm; leave it out")


def _check_inputs(network: Network, inputs: Any) -> Inputs:
    """Return the input rows; InputError for an invalid network, or rows that do not fit it."""
    check_network(network)
    rows = Inputs.from_any(inputs)
    rows.check_neurons(network.inputs)
    return rows


def _check_repeat(repeat: object, checkpoint: object) -> int:
    """Return the number of repetitions; InputError if it is invalid or excluded."""
    number = check_whole("repeat", repeat)
    if number > 1 and checkpoint is not None:
        raise InputError(
            f"repeat={number}: finished rows of a checkpoint are computed once; leave out repeat "
            "or the checkpoint"
        )
    return number


def _shared_budget(gigabytes: float | None, processes: int, device_processes: int) -> Budget:
    """Return the memory budget of one of several processes on this node and on its GPU."""
    budget = Budget.from_gigabytes(gigabytes)
    return replace(budget, processes=processes, device_processes=device_processes)
