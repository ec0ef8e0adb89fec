"""The command line: options, and which command takes them.

Parsing imports nothing of weight; what a command needs is imported once its options are right.
"""

from __future__ import annotations

import argparse
import gc
import logging
import shlex
import sys
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module

from kkspdnn.choices import DTYPES, EXITS, KERNELS, PARALLEL, VERIFY
from kkspdnn.cli.guard import end_at_interrupt, guarded, guarded_on_rank
from kkspdnn.cli.logs import logs_on_stderr
from kkspdnn.cli.options import Parser, cache_gigabytes, count, gigabytes, path, whole
from kkspdnn.device.space_names import add_space_option
from kkspdnn.parallel.launcher import Launch, detect_launch

_COMMANDS = {
    "show": ("kkspdnn.cli.show", "show"),
    "compile": ("kkspdnn.cli.compile", "compile_all"),
    "cache": ("kkspdnn.cli.cache", "show_cache"),
    "plot": ("kkspdnn.cli.plot", "plot"),
    "prune": ("kkspdnn.cli.prune", "prune_files"),
}
"""Commands with options of their own: module and function, which gives the text to print."""


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from kkspdnn.version import own_version

        print(f"kkspdnn {own_version()}")
        parser.exit()


def parser(quiet: bool = False) -> Parser:
    """The options of `python -m kkspdnn`; quiet: says nothing of mistakes, as one of many ranks."""
    made = Parser(
        prog="kkspdnn",
        description="Sparse deep neural network inference: Y' = min(max(Y W + b, 0), 32), layer "
        "after layer.",
        epilog="`kkspdnn info` shows compilers, Kokkos, spaces and the cache; "
        "`kkspdnn show WORKUNIT` the C++ of a workunit; `kkspdnn compile` compiles all of them "
        "for a space; `kkspdnn cache` shows and clears the compiled files; `kkspdnn plot RECORDS "
        "--out DIR` draws figures; `kkspdnn prune IN --out OUT` prunes a dense network. All have "
        "a --help.",
        allow_abbrev=False,
    )
    made.quiet = quiet
    add = made.add_argument
    commands = ("run", "info", *_COMMANDS)
    add("command", nargs="?", choices=commands, default="run", help="default: run")
    add_space_option(made)
    add("--neurons", type=count, metavar="N", help="neurons of a layer (1024)")
    add("--layers", type=whole, metavar="L", help="layers (120, or all of --data)")
    add("--inputs", type=whole, metavar="M", help="input rows (60000, or all of --data)")
    names = "the challenge's files by their official names, or layer-1.npz, layer-2.npz and so on"
    add("--data", type=path, metavar="DIR", help=names)
    add("--mnist", type=path, metavar="FILE", help="raw MNIST images (IDX, may be .gz)")
    shipped = "take the shipped images of digits as input rows, also beside a network of --data"
    add("--shipped-images", action="store_true", help=shipped)
    add("--kernel", choices=KERNELS, default="fused", help="fused tiles, or SpGEMM (fused)")
    add("--exits", choices=EXITS, default="all", help="rows that may leave early (all)")
    add("--fold", action="store_true", help="compute equal neurons of a layer once")
    add("--dtype", choices=DTYPES, default="float32", help="(float32)")
    add("--threads", type=count, metavar="T", help="OpenMP threads (all cores)")
    budget = (
        "budget of memory, for the whole process: Python, network, inputs, layers, activations, in "
        "gigabytes of 10^9 bytes (40 %% of the free memory for layers, and then for activations)"
    )
    add("--memory", type=gigabytes, metavar="GB", help=budget)
    kept = "size limit of the parsed layers in the cache folder, 0: keep none (4)"
    add("--layer-cache", type=cache_gigabytes, metavar="GB", help=kept)
    gpu = "GPU, within CUDA_VISIBLE_DEVICES (0, or with mpiexec one for each rank)"
    add("--device", type=whole, metavar="N", help=gpu)
    add("--seed", type=whole, default=0, metavar="S", help="of the RadiX-Net (0)")
    against = "against the serial reference (sample)"
    add("--verify", choices=VERIFY, default="sample", help=against)
    text = "what the ranks of mpiexec share: input rows or layers (rows, while layers fit)"
    add("--parallel", choices=PARALLEL, default="auto", help=text)
    saved = "keep finished parts of the rows here; the same command goes on from them"
    add("--checkpoint", type=path, metavar="DIR", help=saved)
    add("--json", type=path, metavar="FILE", help="write the record")
    add("--categories", type=path, metavar="FILE", help="write the list of categories")
    last = "write the activations after the last layer, .npy, or as a sparse matrix .npz"
    add("--outputs", type=path, metavar="FILE", help=last)
    add("--published", action="store_true", help="also what others published, on other machines")
    add("--quiet", action="store_true", help="no table and no progress bar")
    add("--version", action=_Version, nargs=0, help="show the version and exit")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and give its exit code."""
    given = list(sys.argv[1:] if argv is None else argv)
    if given and given[0] in _COMMANDS:
        module, name = _COMMANDS[given[0]]
        command: Callable[[Sequence[str]], Iterable[str]] = getattr(import_module(module), name)
        return _printed(lambda: command(given[1:]))
    started = detect_launch()
    options = parser(quiet=started is not None and started.quiet)
    options.refuse_unknown(given)
    arguments = options.parse_args(given)
    if arguments.command in _COMMANDS:
        options.error(f"{arguments.command} comes first: kkspdnn {arguments.command} …")
    if arguments.command == "info":
        from kkspdnn.cli.info import report

        return _printed(report)
    return _run(arguments, shlex.join(["python", "-m", "kkspdnn", *given]), started)


def _run(arguments: argparse.Namespace, command: str, started: Launch | None) -> int:
    if started is not None and started.quiet:
        end_at_interrupt(quiet=True)
    from kkspdnn.cli.run import run
    from kkspdnn.parallel.ranks import Ranks

    _enable_garbage_collection()
    told = arguments.quiet or (started is not None and started.rank > 0)
    with logs_on_stderr(logging.WARNING if told else logging.INFO):
        if started is None:
            return guarded(lambda: run(arguments, command, Ranks()))
        return guarded_on_rank(started, lambda ranks: run(arguments, command, ranks))


def _enable_garbage_collection() -> None:
    """Enable the garbage collector if `python -m kkspdnn` has disabled it for the imports.

    It does not search the objects that exist by now.
    """
    if not gc.isenabled():
        gc.freeze()
        gc.enable()


def _printed(text: Callable[[], Iterable[str]]) -> int:
    """Print the parts of a text as they are made, and give the exit code."""
    _enable_garbage_collection()
    with logs_on_stderr(logging.INFO):
        return guarded(lambda: _print(text()))


def _print(parts: Iterable[str]) -> int:
    for part in parts:
        print(part, end="", flush=True)
    return 0
