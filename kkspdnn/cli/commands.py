"""The commands of the command line.

A command has a module with a function `parser`, which imports no large module. The module of one
command is imported without those of the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType

from kkspdnn.cli.parser import Parser, add_version_option


@dataclass(frozen=True)
class Command:
    """A command.

    summary: one line for the help of kkspdnn
    module: the module in kkspdnn.cli with the parser
    function: the function of that module that takes the arguments after the name of the command and
    yields the text to print; None for `run`, which returns an exit code and knows MPI
    """

    summary: str
    module: str
    function: str | None

    def parser(self) -> Parser:
        """Return the parser of the arguments after the name of the command."""
        parser: Parser = self._module().parser()
        return parser

    def text(self, argv: Sequence[str]) -> Iterable[str]:
        """Run the command, and return the text to print."""
        assert self.function is not None
        run: Callable[[Sequence[str]], Iterable[str]] = getattr(self._module(), self.function)
        return run(argv)

    def _module(self) -> ModuleType:
        return import_module(f"kkspdnn.cli.{self.module}")


DEFAULT = "run"
"""The command of a command line that names none."""

COMMANDS = {
    "run": Command("run a network on input rows", "run_options", None),
    "info": Command("report compilers, Kokkos, execution spaces and the cache", "info", "info"),
    "show": Command("print the C++ or the machine code of a workunit", "show", "show"),
    "compile": Command("compile all workunits into the cache", "compile", "compile_all"),
    "cache": Command("list or remove compiled files", "cache", "show_cache"),
    "tune": Command("measure launch parameters, and keep the fastest", "tune", "tune_space"),
    "plot": Command("draw figures and tables from records", "plot", "plot"),
    "prune": Command("prune a dense network", "prune", "prune_files"),
    "completion": Command("print a script for completion in a shell", "completion", "completion"),
}
"""All commands by name, in the order of the help."""


def root_parser() -> Parser:
    """Return the parser of a command line before the command, whose help lists all commands."""
    width = max(map(len, COMMANDS)) + 2
    commands = "\n".join(f"  {name:<{width}}{each.summary}" for name, each in COMMANDS.items())
    root = Parser(
        prog="kkspdnn",
        usage="kkspdnn [COMMAND] [ARGUMENT ...]",
        description="Sparse deep neural network inference: Y' = min(max(Y W + b, 0), ymax), layer "
        f"after layer.\n\ncommands:\n{commands}",
        epilog=f"Without COMMAND, {DEFAULT} is meant: `kkspdnn --space openmp` is the same as "
        f"`kkspdnn {DEFAULT} --space openmp`. `kkspdnn COMMAND --help` lists the options of a "
        "command.",
    )
    add_version_option(root)
    return root
