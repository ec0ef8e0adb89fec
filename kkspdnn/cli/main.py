"""The command line: the options of `run`, and the dispatch to the other commands.

Parsing imports no large module; the modules of a command are imported after its options are
checked.
"""

from __future__ import annotations

import argparse
import gc
import logging
import shlex
import sys
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module

from kkspdnn.choices import EPILOGUES, KERNEL_OPTIONS, PARALLEL, VERIFY
from kkspdnn.cli.exit_codes import end_at_interrupt, exit_code_of, exit_code_of_rank
from kkspdnn.cli.logs import logs_on_stderr
from kkspdnn.cli.options import add_engine_options, add_problem_options
from kkspdnn.cli.parser import Parser, file_path
from kkspdnn.parallel.launcher import Launch, detect_launch

_COMMANDS = {
    "info": ("kkspdnn.cli.info", "info"),
    "show": ("kkspdnn.cli.show", "show"),
    "compile": ("kkspdnn.cli.compile", "compile_all"),
    "cache": ("kkspdnn.cli.cache", "show_cache"),
    "plot": ("kkspdnn.cli.plot", "plot"),
    "prune": ("kkspdnn.cli.prune", "prune_files"),
    "tune": ("kkspdnn.cli.tune", "tune_space"),
}
"""Commands with their own options: the module, and the function that yields the text to print."""


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from kkspdnn.version import own_version

        print(f"kkspdnn {own_version()}")
        parser.exit()


def parser(quiet: bool = False) -> Parser:
    """Return the parser of `python -m kkspdnn`; quiet: report no errors, for MPI ranks above 0."""
    options = Parser(
        prog="kkspdnn",
        description="Sparse deep neural network inference: Y' = min(max(Y W + b, 0), ymax), layer "
        "after layer.",
        epilog="`kkspdnn info` reports compilers, Kokkos, spaces and the cache; `kkspdnn show "
        "WORKUNIT` prints the C++ of a workunit; `kkspdnn compile` compiles all workunits for a "
        "space; `kkspdnn cache` lists or removes compiled files; `kkspdnn plot RECORDS --out DIR` "
        "draws figures; `kkspdnn prune IN --out OUT` prunes a dense network; `kkspdnn tune` "
        "measures launch parameters. Each command has --help.",
        allow_abbrev=False,
    )
    options.quiet = quiet
    commands = ("run", *_COMMANDS)
    options.add_argument("command", nargs="?", choices=commands, default="run", help="default: run")
    add_engine_options(options)
    add_problem_options(options)
    _add_run_options(options)
    _add_output_options(options)
    return options


def _add_run_options(options: Parser) -> None:
    add = options.add_argument
    kernel = (
        "fused: layers on tiles of rows; spgemm: SpGEMM; auto: SpGEMM on a CPU if the activations "
        "are sparse, otherwise fused (fused)"
    )
    add("--kernel", choices=KERNEL_OPTIONS, default="fused", help=kernel)
    epilogue = (
        "bias and ReLU of --kernel spgemm: fused: in the SpGEMM workunit; separate: as workunits "
        "of their own, as always on a GPU (fused)"
    )
    add("--epilogue", choices=EPILOGUES, default="fused", help=epilogue)
    fold = "neuron merging: compute equal neurons of a layer once"
    add("--fold", action="store_true", help=fold)
    tune = "take the default launch parameters, also if `kkspdnn tune` kept others"
    add("--no-tune", action="store_false", dest="tune", help=tune)
    verify = "rows to compare with the serial reference (sample)"
    add("--verify", choices=VERIFY, default="sample", help=verify)
    parallel = (
        "distribution over MPI ranks: data: input rows; pipeline: layers; auto: data if the layers "
        "fit into memory (auto)"
    )
    add("--parallel", choices=PARALLEL, default="auto", help=parallel)
    checkpoint = "folder for the results of finished row shards; the same command resumes"
    add("--checkpoint", type=file_path, metavar="DIR", help=checkpoint)


def _add_output_options(options: Parser) -> None:
    add = options.add_argument
    add("--json", type=file_path, metavar="FILE", help="write the record of the run")
    add("--categories", type=file_path, metavar="FILE", help="write the list of categories")
    outputs = "write the activations after the last layer: dense .npy or sparse .npz"
    add("--outputs", type=file_path, metavar="FILE", help=outputs)
    published = "also print published rates of other implementations on other machines"
    add("--published", action="store_true", help=published)
    either = options.add_mutually_exclusive_group()
    verbose = (
        "also print the times of the launches of each kernel to standard error; each launch waits "
        "for the device; with MPI: those of the first rank"
    )
    either.add_argument("-v", "--verbose", action="store_true", help=verbose)
    quiet = "print no table and no progress bar"
    either.add_argument("--quiet", action="store_true", help=quiet)
    add("--version", action=_Version, nargs=0, help="print the version and exit")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words and words[0] in _COMMANDS:
        module, name = _COMMANDS[words[0]]
        command: Callable[[Sequence[str]], Iterable[str]] = getattr(import_module(module), name)
        return _print_all(lambda: command(words[1:]))
    started = detect_launch()
    options = parser(quiet=started is not None and started.quiet)
    options.refuse_unknown(words)
    arguments = options.parse_args(words)
    if arguments.command in _COMMANDS:
        options.error(f"{arguments.command} must come first: kkspdnn {arguments.command} …")
    return _run(arguments, shlex.join(["python", "-m", "kkspdnn", *words]), started)


def _run(arguments: argparse.Namespace, command: str, started: Launch | None) -> int:
    if started is not None and started.quiet:
        end_at_interrupt(quiet=True)
    from kkspdnn.cli.run import run
    from kkspdnn.parallel.ranks import Ranks

    _enable_garbage_collection()
    quiet = arguments.quiet or (started is not None and started.rank > 0)
    with logs_on_stderr(logging.WARNING if quiet else logging.INFO):
        if started is None:
            return exit_code_of(lambda: run(arguments, command, Ranks()))
        return exit_code_of_rank(started, lambda ranks: run(arguments, command, ranks))


def _enable_garbage_collection() -> None:
    """Enable the garbage collector if `python -m kkspdnn` disabled it for the imports.

    The objects that exist by then are excluded from collection.
    """
    if not gc.isenabled():
        gc.freeze()
        gc.enable()


def _print_all(text: Callable[[], Iterable[str]]) -> int:
    """Print chunks of text as they are generated, and return the exit code."""
    _enable_garbage_collection()
    with logs_on_stderr(logging.INFO):
        return exit_code_of(lambda: _print(text()))


def _print(chunks: Iterable[str]) -> int:
    for chunk in chunks:
        print(chunk, end="", flush=True)
    return 0
