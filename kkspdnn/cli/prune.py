"""`python -m kkspdnn prune IN --out OUT`: a dense network in, a pruned one as a folder out."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from kkspdnn.choices import METHODS
from kkspdnn.cli.guard import importing
from kkspdnn.cli.options import Parser, count, path


def parser() -> Parser:
    """The options of `python -m kkspdnn prune`."""
    made = Parser(
        prog="kkspdnn prune",
        description="Prune a dense network, and write it so that `kkspdnn --data OUT` runs it.",
        allow_abbrev=False,
    )
    add = made.add_argument
    source = (
        ".npy, .npz, .safetensors, a state_dict of PyTorch (.pt), or a network's folder; arrays "
        "X.weight (outputs, inputs) or X.kernel (inputs, outputs), and X.bias"
    )
    add("network", type=path, metavar="IN", help=source)
    add("--out", type=path, required=True, metavar="OUT", help="a new folder")
    how = "the same number in each block of a neuron's inputs, anywhere, or whole blocks (balanced)"
    add("--method", choices=METHODS, default="balanced", help=how)
    part = "part of the weights that goes, or one for each layer: 0.9,0.9,0 (0.9)"
    add("--sparsity", type=_parts, default=(0.9,), metavar="S", help=part)
    add("--blocks", type=count, default=32, metavar="N", help="of a neuron's inputs (32)")
    dealt = "balanced blocks of inputs dealt to them by the sizes of their weights, not neighbours"
    add("--permute", action="store_true", help=dealt)
    shape = "inputs x outputs, for --method block (8x8)"
    add("--block-shape", type=_shape, default=(8, 8), metavar="RxC", help=shape)
    return made


def prune_files(given: Sequence[str]) -> Iterator[str]:
    """Prune, and give the text that the command prints for these arguments, line by line.

    Raises InputError for a file, options or a folder that cannot be used.
    """
    options = parser()
    options.refuse_unknown(given)
    arguments = options.parse_args(given)
    with importing():
        from kkspdnn.io.atomic_write import create_folder
        from kkspdnn.io.dense import read_dense_network
        from kkspdnn.io.npz import read_npz_network, save_npz_network
        from kkspdnn.pruning.prune import prune

    source: Path = arguments.network
    dense = read_npz_network(source) if source.is_dir() else read_dense_network(source)
    parts = arguments.sparsity
    with create_folder(arguments.out) as folder:
        pruned = prune(
            dense,
            method=arguments.method,
            sparsity=parts[0] if len(parts) == 1 else parts,
            blocks=arguments.blocks,
            permute=arguments.permute,
            block_shape=arguments.block_shape,
        )
        save_npz_network(pruned, folder)
    for number, layer in enumerate(pruned.layers, start=1):
        most = layer.inputs * layer.outputs
        fan_in = f", fan-in {layer.fan_in}" if layer.fan_in is not None else ""
        yield (
            f"layer {number}: {layer.inputs:,} x {layer.outputs:,}, {layer.edges:,} weights, "
            f"sparsity {1 - layer.edges / most:.4f}{fan_in}\n"
        )
    yield (
        f"written to {arguments.out}; with input rows in its inputs.npz or inputs.npy: "
        f"python -m kkspdnn --data {arguments.out}\n"
    )


def _parts(text: str) -> tuple[float, ...]:
    """Numbers with commas between them, for argparse."""
    if not re.fullmatch(r"[0-9]*\.?[0-9]+(,[0-9]*\.?[0-9]+)*", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number, or numbers with commas")
    return tuple(float(each) for each in text.split(","))


def _shape(text: str) -> tuple[int, int]:
    """A block's shape, for argparse."""
    if not re.fullmatch(r"[1-9][0-9]{0,8}x[1-9][0-9]{0,8}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a shape such as 8x8")
    tall, _, wide = text.partition("x")
    return int(tall), int(wide)
