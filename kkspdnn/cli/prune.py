"""`python -m kkspdnn prune IN --out OUT`: prune a dense network and write it as a folder."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from kkspdnn.choices import METHODS
from kkspdnn.cli.exit_codes import ending_at_interrupt
from kkspdnn.cli.parser import Parser, file_path, positive_int


def parser() -> Parser:
    """Return the parser of `python -m kkspdnn prune`."""
    options = Parser(
        prog="kkspdnn prune",
        description="Prune a dense network, and write it as a folder for `kkspdnn run --data OUT "
        "--rows FILE`.",
        examples=[
            "kkspdnn prune model.npz --out pruned --sparsity 0.9",
            "kkspdnn prune model.safetensors --out pruned --method block --block-shape 8x8",
        ],
    )
    add = options.add_argument
    source = (
        ".npy, .npz, .safetensors, .onnx, a state_dict of PyTorch (.pt), or the folder of a "
        "network; "
        "arrays X.weight (outputs, inputs) or X.kernel (inputs, outputs), and X.bias"
    )
    add("network", type=file_path, metavar="IN", help=source)
    add("--out", type=file_path, required=True, metavar="OUT", help="name of the new folder")
    how = (
        "weights to keep: balanced: the same number in each block of a neuron's inputs; "
        "unstructured: the largest of a layer; block: whole blocks of the matrix (balanced)"
    )
    add("--method", choices=METHODS, default="balanced", help=how)
    fraction = "fraction of the weights to prune, or one for each layer: 0.9,0.9,0 (0.9)"
    add("--sparsity", type=_numbers, default=(0.9,), metavar="S", help=fraction)
    add(
        "--blocks",
        type=positive_int,
        default=32,
        metavar="N",
        help="blocks of inputs of each neuron (32)",
    )
    permute = "distribute the inputs over balanced blocks by the magnitude of their weights"
    add("--permute", action="store_true", help=permute)
    shape = "inputs x outputs of a block, for --method block (8x8)"
    add("--block-shape", type=_shape, default=(8, 8), metavar="RxC", help=shape)
    return options


def prune_files(argv: Sequence[str]) -> Iterator[str]:
    """Prune a network; yields the lines to print.

    Raises InputError for invalid files, options or folders.
    """
    options = parser()
    arguments = options.parse_args(argv)
    with ending_at_interrupt():
        from kkspdnn.io.atomic_write import create_folder
        from kkspdnn.io.dense import read_dense_network
        from kkspdnn.io.npz import read_npz_network, save_npz_network
        from kkspdnn.pruning.prune import prune

    source: Path = arguments.network
    dense = read_npz_network(source) if source.is_dir() else read_dense_network(source)
    sparsities = arguments.sparsity
    with create_folder(arguments.out) as folder:
        pruned = prune(
            dense,
            method=arguments.method,
            sparsity=sparsities[0] if len(sparsities) == 1 else sparsities,
            blocks=arguments.blocks,
            permute=arguments.permute,
            block_shape=arguments.block_shape,
        )
        save_npz_network(pruned, folder)
    for number, layer in enumerate(pruned.layers, start=1):
        dense_edges = layer.inputs * layer.outputs
        fan_in = f", fan-in {layer.fan_in}" if layer.fan_in is not None else ""
        yield (
            f"layer {number}: {layer.inputs:,} x {layer.outputs:,}, {layer.edges:,} weights, "
            f"sparsity {1 - layer.edges / dense_edges:.4f}{fan_in}\n"
        )
    folder_name = shlex.quote(str(arguments.out))
    yield (
        f"written to {arguments.out}; run it on input rows of {pruned.inputs:,} neurons in FILE, "
        "a .npy, .npz, .tsv or IDX file:\n"
        f"  python -m kkspdnn run --data {folder_name} --rows FILE\n"
    )


def _numbers(text: str) -> tuple[float, ...]:
    """Convert numbers separated by commas, for argparse."""
    if not re.fullmatch(r"[0-9]*\.?[0-9]+(,[0-9]*\.?[0-9]+)*", text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a number, or numbers separated by commas"
        )
    return tuple(float(each) for each in text.split(","))


def _shape(text: str) -> tuple[int, int]:
    """Convert the shape of a block, for argparse."""
    if not re.fullmatch(r"[1-9][0-9]{0,8}x[1-9][0-9]{0,8}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a shape such as 8x8")
    inputs, _, outputs = text.partition("x")
    return int(inputs), int(outputs)
