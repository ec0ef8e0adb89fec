"""Options that several commands have: of the network, its rows, and the engine."""

from __future__ import annotations

import argparse
import os
import shlex
from typing import NoReturn

from kkspdnn.choices import DTYPES, EXITS
from kkspdnn.cli.parser import (
    Parser,
    file_path,
    nonnegative_gigabytes,
    nonnegative_int,
    positive_gigabytes,
    positive_int,
)
from kkspdnn.device.space_names import add_space_option


class ProblemParser(Parser):
    """A parser with the options of `add_problem_options`."""

    def refuse_argument(self, word: str) -> NoReturn:
        """Report an unexpected argument; for an existing path, with the option that takes it."""
        if os.path.isdir(word):
            option = f": for the folder of a network, write --data {shlex.quote(word)}"
        elif os.path.exists(word):
            option = f": for a file of input rows, write --rows {shlex.quote(word)}"
        else:
            option = ""
        self.error(f"unexpected argument {word!r}{option}")


def add_problem_options(options: Parser) -> None:
    """Add the options of the network and the input rows, those of `load_problem`."""
    add = options.add_argument_group("network and input rows").add_argument
    add("--neurons", type=positive_int, metavar="N", help="neurons per layer (1024)")
    add(
        "--layers",
        type=nonnegative_int,
        metavar="L",
        help="number of layers (120, or all of a folder of layer-N.npz)",
    )
    add(
        "--inputs",
        type=nonnegative_int,
        metavar="M",
        help="number of input rows (60000, or all of --data)",
    )
    data = "folder with the challenge's files, or with layer-1.npz, layer-2.npz and so on"
    add("--data", type=file_path, metavar="DIR", help=data)
    rows = (
        "file of input rows: .npy, .npz (scipy.sparse.save_npz, or numpy.savez of one dense "
        "array), .tsv (row, neuron, value; from 1; may be .gz), or IDX images of any size (as "
        "MNIST's; may be .gz), whose pixels become neurons with the values pixel / 255"
    )
    add("--rows", type=file_path, metavar="FILE", help=rows)
    mnist = (
        "raw MNIST images (IDX, may be .gz) as the challenge's input rows: resized to 32 x 32 and "
        "more, with pixels of 0 and 1"
    )
    add("--mnist", type=file_path, metavar="FILE", help=mnist)
    shipped = "use the shipped MNIST images as input rows, also for a network of --data"
    add("--shipped-images", action="store_true", help=shipped)
    layer_cache = "maximum size of the cache of parsed layers; 0: no cache (4)"
    add("--layer-cache", type=nonnegative_gigabytes, metavar="GB", help=layer_cache)
    add(
        "--seed",
        type=nonnegative_int,
        default=0,
        metavar="S",
        help="random seed of the RadiX-Net (0)",
    )


def add_engine_options(engine: argparse._ArgumentGroup) -> None:
    """Add the execution space and the options of the engine to their group."""
    add_space_option(engine)
    add = engine.add_argument
    exits = (
        "early exit of rows: all: once their final output is proven; dead: rows of zeros only; "
        "none: off, the same as dead for SpGEMM (all)"
    )
    add("--exits", choices=EXITS, default="all", help=exits)
    dtype = "dtype of weights and activations (float32)"
    add("--dtype", choices=DTYPES, default="float32", help=dtype)
    add(
        "--threads",
        type=positive_int,
        metavar="T",
        help="OpenMP threads (OMP_NUM_THREADS, else the usable cores)",
    )
    budget = (
        "memory budget of the whole process: Python, network, inputs, layers, activations; in "
        "gigabytes of 10^9 bytes (the free memory)"
    )
    add("--memory", type=positive_gigabytes, metavar="GB", help=budget)
    gpu = "GPU number within CUDA_VISIBLE_DEVICES (0, or with mpiexec one for each rank)"
    add("--device", type=nonnegative_int, metavar="N", help=gpu)
