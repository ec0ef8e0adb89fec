"""`python -m kkspdnn prune IN --out OUT`: prune a dense network and write it as a folder."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kkspdnn.choices import METHODS
from kkspdnn.cli.exit_codes import ending_at_interrupt
from kkspdnn.cli.parser import Parser, file_path, positive_int
from kkspdnn.errors import InputError

if TYPE_CHECKING:
    from kkspdnn.model.layers import Layer

_NOTED = 0.005
"""Larger differences between the sparsity of a layer and the one asked for are printed."""


def parser() -> Parser:
    """Return the parser of `python -m kkspdnn prune`."""
    options = Parser(
        prog="kkspdnn prune",
        description="Prune a dense network, and write it as a folder for `kkspdnn run --data OUT "
        "--rows FILE`.\n\n"
        "Files of weights do not record the activations: kkspdnn applies a ReLU after every layer "
        "but the last one. kk.from_torch(model) and .onnx files keep other activations, or "
        "refuse them. The order of a state_dict is the order of the layers; in .npz and "
        ".safetensors files it is that of the numbers in their names. A .npy is one matrix "
        "(inputs, outputs), the transpose of the weight of a PyTorch layer.",
        examples=[
            "kkspdnn prune model.npz --out pruned --sparsity 0.9",
            "kkspdnn prune model.safetensors --out pruned --method block --block-shape 8x8",
        ],
    )
    add = options.add_argument
    source = (
        ".npy, .npz, .safetensors, .onnx, a state_dict of PyTorch (.pt), or the folder of a "
        "network; arrays X.weight (outputs, inputs) or X.kernel (inputs, outputs), and X.bias"
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
        metavar="N",
        help="blocks of inputs of each neuron, for --method balanced (32)",
    )
    permute = (
        "distribute the inputs over the blocks by the magnitude of their weights, for --method "
        "balanced"
    )
    add("--permute", action="store_true", default=None, help=permute)
    shape = "inputs x outputs of a block, for --method block (8x8)"
    add("--block-shape", type=_shape, metavar="RxC", help=shape)
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

    method_options = _method_options(arguments)
    source: Path = arguments.network
    dense = read_npz_network(source) if source.is_dir() else read_dense_network(source)
    sparsities = arguments.sparsity
    with create_folder(arguments.out) as folder:
        pruned = prune(
            dense,
            method=arguments.method,
            sparsity=sparsities[0] if len(sparsities) == 1 else sparsities,
            **method_options,
        )
        save_npz_network(pruned, folder)
    if len(sparsities) == 1:
        sparsities = sparsities * len(pruned.layers)
    for number, (layer, asked) in enumerate(zip(pruned.layers, sparsities, strict=True), start=1):
        yield f"layer {number}: {_describe(layer, asked)}\n"
    folder_name = shlex.quote(str(arguments.out))
    yield (
        f"written to {arguments.out}; run it on input rows of {pruned.inputs:,} neurons in FILE, "
        "a .npy, .npz, .tsv or IDX file:\n"
        f"  python -m kkspdnn run --data {folder_name} --rows FILE\n"
    )


def _method_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the given options of the method. InputError for one of another method."""
    options = {"blocks": "balanced", "permute": "balanced", "block_shape": "block"}
    given = {name: getattr(arguments, name) for name in options}
    given = {name: value for name, value in given.items() if value is not None}
    for name in given:
        if arguments.method != options[name]:
            raise InputError(
                f"--{name.replace('_', '-')} is for --method {options[name]}: leave it out with "
                f"--method {arguments.method}"
            )
    return given


def _describe(layer: Layer, asked: float) -> str:
    """Return the sizes of a pruned layer, and the sparsity that was asked for if it differs.

    Blocks and small layers cannot have every sparsity. A layer with 0 is not pruned.
    """
    reached = 1 - layer.edges / (layer.inputs * layer.outputs)
    other = f" ({asked:g} was asked for)" if asked and abs(reached - asked) > _NOTED else ""
    fan_in = f", fan-in {layer.fan_in}" if layer.fan_in is not None else ""
    return (
        f"{layer.inputs:,} x {layer.outputs:,}, {layer.edges:,} weights, "
        f"sparsity {reached:.4f}{other}{fan_in}"
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
