"""The command line of `python -m bench.gpu`.

Imports no package at the top that only the pack of `run` may provide.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from bench.gpu.steps import SPACES
from kkspdnn.cli.exit_codes import exit_code_of
from kkspdnn.cli.parser import Parser, file_path, positive_int
from kkspdnn.device.space_names import add_space_option

STEP_COMMANDS = {
    "environment": "print the GPU, its driver, and the versions of tools and packages",
    "values": "compare the values of every engine with the serial reference",
    "times": "time whole networks and write the record of the median run of each",
    "launches": "time one fused launch, its parts on the host, and copies to the device",
    "sanitized": "run every kernel on small networks, with a separate allocation per array",
    "profiled": "launch each fused kernel once while the profiler is on",
    "profile": "collect the hardware counters of `profiled` with ncu",
    "sweep": "time each form of packed layers, and the fused launch over its shapes",
}
"""The commands that `run` starts, each in a process of its own. A user can also run them."""


def parser() -> Parser:
    """Return the parser of `python -m bench.gpu`, with its subcommands."""
    root = Parser(prog="python -m bench.gpu", description=__doc__)
    commands = root.add_subparsers(dest="command", required=True, parser_class=Parser)

    def command(name: str, text: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=text, description=text)

    pack = command("pack", "pack the files that a machine without a package index needs")
    pack.add_argument("folder", type=file_path, metavar="DIR", help="a new folder for the pack")
    pack.add_argument(
        "--arch", default="sm_90", metavar="sm_XX", help="architecture of the GPU (sm_90)"
    )
    text = "Python version of the GPU machine, for the packed wheels (3.12)"
    pack.add_argument("--python", default="3.12", metavar="X.Y", help=text)
    text = "also pack the official challenge files in this folder, for the tests"
    pack.add_argument("--data", type=file_path, metavar="DIR", help=text)
    run = command("run", "run the measurements one after the other, each with a time limit")
    run.add_argument("--pack", type=file_path, metavar="DIR", help="the pack to unpack first")
    run.add_argument(
        "--out", type=file_path, required=True, metavar="DIR", help="folder for the results"
    )
    text = "time limit in seconds; the remaining steps are skipped (360)"
    run.add_argument("--seconds", type=positive_int, default=360, metavar="T", help=text)
    text = "run the second list of steps: tuning, other sanitizers and tests, native build"
    run.add_argument("--second", action="store_true", help=text)
    text = "run these steps only, in the order of the list"
    run.add_argument("--only", nargs="+", metavar="STEP", help=text)
    all_commands = [pack, run]
    for name, text in STEP_COMMANDS.items():
        step = command(name, text)
        step.add_argument("--records", type=file_path, metavar="DIR", help="folder for records")
        all_commands.append(step)
        if name == "times":
            text = "NEURONS-LAYERS with any of :EXITS :spgemm :fold :different :rROWS :xRUNS"
            step.add_argument("cases", nargs="+", metavar="CASE", help=text)
    for parser_of_command in all_commands:
        add_space_option(parser_of_command, SPACES, default="cuda")
        text = "dry run on small networks"
        parser_of_command.add_argument("--small", action="store_true", help=text)
    return root


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    0: success; 1: a step failed or a value is wrong; 2: an error that the user can correct.
    """
    arguments = parser().parse_args(sys.argv[1:] if argv is None else argv)

    def run() -> int:
        module = import_module(f"bench.gpu.{arguments.command}")
        command: Callable[[argparse.Namespace], int] = module.command
        return command(arguments)

    return exit_code_of(run)
