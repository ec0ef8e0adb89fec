"""The commands of `python -m bench.gpu`.

Nothing is imported at the top that the machine may lack until `run` has unpacked it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from bench.gpu.steps import SPACES
from kkspdnn.cli.guard import guarded
from kkspdnn.cli.options import Parser, count, path
from kkspdnn.device.space_names import add_space_option

STEP_COMMANDS = {
    "environment": "print the GPU, its driver, and the versions of tools and packages",
    "values": "compare the values of every engine with the serial reference",
    "times": "time whole networks and write the record of the median run of each",
    "launches": "time one fused launch, its host side, and copies to the device",
    "sanitized": "run every kernel on small networks, each array an allocation of its own",
    "profiled": "launch each fused kernel once between the profiler's start and stop",
    "profile": "collect the hardware counters of `profiled` with ncu",
    "sweep": "time the fused launch over lanes, team sizes and layers a launch",
}
"""What `run` starts, each in a process of its own; each can be repeated by itself."""


def parser() -> Parser:
    """The commands and their options."""
    made = Parser(prog="python -m bench.gpu", description=__doc__, allow_abbrev=False)
    commands = made.add_subparsers(dest="command", required=True, parser_class=Parser)

    def command(name: str, text: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=text, description=text, allow_abbrev=False)

    pack = command("pack", "pack all that a machine without a package index needs")
    pack.add_argument("folder", type=path, metavar="DIR", help="a new folder for the pack")
    pack.add_argument("--arch", default="sm_90", metavar="sm_XX", help="of the GPU (sm_90)")
    text = "version of Python there, for which wheels are packed (3.12)"
    pack.add_argument("--python", default="3.12", metavar="X.Y", help=text)
    text = "also pack the official data of this folder, for the tests that read it"
    pack.add_argument("--data", type=path, metavar="DIR", help=text)
    run = command("run", "run the measurements one by one, each within a time limit of its own")
    run.add_argument("--pack", type=path, metavar="DIR", help="the pack to unpack first")
    run.add_argument("--out", type=path, required=True, metavar="DIR", help="for the results")
    text = "stop after so many seconds; steps that are left are skipped (360)"
    run.add_argument("--seconds", type=count, default=360, metavar="T", help=text)
    text = "the second list of steps: sweeps, other sanitizers and tests, a native build"
    run.add_argument("--second", action="store_true", help=text)
    text = "run only these steps, in their own order"
    run.add_argument("--only", nargs="+", metavar="STEP", help=text)
    every = [pack, run]
    for name, text in STEP_COMMANDS.items():
        each = command(name, text)
        each.add_argument("--records", type=path, metavar="DIR", help="folder for records")
        every.append(each)
        if name == "times":
            text = "NEURONS-LAYERS, then any of :EXITS :fold :xRUNS; such as 1024-120:dead:x5"
            each.add_argument("cases", nargs="+", metavar="CASE", help=text)
    for each in every:
        add_space_option(each, SPACES, default="cuda")
        each.add_argument("--small", action="store_true", help="small networks: a dry run")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and give its exit code: 1 where anything failed or is wrong, 2 for what the
    user can mend."""
    arguments = parser().parse_args(sys.argv[1:] if argv is None else argv)

    def run() -> int:
        module = import_module(f"bench.gpu.{arguments.command}")
        command: Callable[[argparse.Namespace], int] = module.command
        return command(arguments)

    return guarded(run)
