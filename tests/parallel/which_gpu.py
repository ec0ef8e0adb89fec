"""Print the GPU that each rank would use; run by mpiexec with a fake CUDA driver.

--device N: as the command line's option
--each VARIABLE: set an environment variable to this rank's number, as a launcher does
--infer FILE: run a network on a CPU and write the record
"""

from __future__ import annotations

import argparse
import logging
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
from mpi4py import MPI

import kkspdnn as kk
from kkspdnn.device.space import Space, choose_device, open_space
from kkspdnn.inference import run
from kkspdnn.io.json_schema import decode, read_json
from kkspdnn.parallel.affinity import bind_rank
from kkspdnn.parallel.ranks import Ranks
from kkspdnn.pk.system import cuda_driver
from kkspdnn.records.result_table import result_table
from kkspdnn.records.run import Record, write_text

WORLD = MPI.COMM_WORLD


def print_device(device: int | None) -> None:
    with bind_rank(Ranks(WORLD), "cuda", None, device) as gpu:
        choose_device(gpu.device)
        mine = cuda_driver.selected_device()
    line = f"rank {WORLD.rank}: device {mine.number}, {mine.name}, {gpu.ranks} on it"
    # Rank 0 prints all lines: output of several ranks may be interleaved.
    print("".join(f"{each}\n" for each in WORLD.gather(line) or ()), end="", flush=True)


def run_network(file: Path) -> None:
    """Run Kokkos on the CPU, and everything else as on a GPU."""

    def opened(name: str, threads: int | None, device: int | None) -> Space:
        assert name == "cuda"
        choose_device(device)
        return replace(open_space("serial"), device=cuda_driver.selected_device())

    run.open_space = opened
    net, rows = kk.radixnet(64, 4), np.eye(100, 64, dtype=np.float32)
    record = kk.infer(net, rows, space="cuda", comm=WORLD).record
    if WORLD.rank:
        return
    write_text(file, record.to_json())
    assert decode(Record, read_json(file), "record") == record
    assert len({(gpu.host, gpu.uuid) for gpu in record.gpus}) == len(record.gpus)
    for gpu in record.gpus:
        ranks = ", ".join(map(str, gpu.ranks))
        print(f"GPU device {gpu.number} ({gpu.name}, {gpu.arch}) with ranks {ranks}", flush=True)
    lines = result_table(record).splitlines()
    print("table", next(line for line in lines if line.startswith("GPU")), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", type=int)
    parser.add_argument("--each")
    parser.add_argument("--infer", type=Path)
    options = parser.parse_args()
    logging.basicConfig(format="%(message)s")
    if options.each is not None:
        os.environ[options.each] = str(WORLD.rank)
    if options.infer is not None:
        run_network(options.infer)
    else:
        print_device(options.device)


main()
