"""`python -m kkspdnn completion SHELL`: print a script that completes command lines in a shell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kkspdnn.cli.commands import COMMANDS, DEFAULT
from kkspdnn.cli.exit_codes import ending_at_interrupt
from kkspdnn.cli.parser import Parser, file_path
from kkspdnn.cli.text_outputs import output_path

SHELLS = ("bash", "zsh", "tcsh")


def parser() -> Parser:
    """Return the parser of `python -m kkspdnn completion`."""
    options = Parser(
        prog="kkspdnn completion",
        description="Print a script with which a shell completes commands, options, values and "
        "files. In bash, source it in ~/.bashrc; in zsh, write it to a file _kkspdnn in a folder "
        "of fpath.",
        examples=[
            "kkspdnn completion bash > ~/.local/share/bash-completion/completions/kkspdnn",
            "kkspdnn completion zsh > ~/.zfunc/_kkspdnn",
        ],
    )
    options.add_argument("shell", choices=SHELLS, help="the shell")
    return options


def completion(argv: Sequence[str]) -> Iterator[str]:
    """Yield the script for the shell of the command line."""
    arguments = parser().parse_args(argv)
    with ending_at_interrupt():
        import shtab

    everything = _parser_of_all(shtab.FILE, shtab.DIRECTORY)
    yield shtab.complete(everything, shell=arguments.shell) + "\n"


def _parser_of_all(file: Mapping[str, Any], folder: Mapping[str, Any]) -> Parser:
    """Return one parser of all commands, and of the options of a run without `run`.

    file, folder: what shtab completes for paths
    """
    run = COMMANDS[DEFAULT].parser()
    root = Parser(prog="kkspdnn", parents=[run], add_help=False)
    commands = root.add_subparsers(metavar="COMMAND")
    for name, command in COMMANDS.items():
        own = command.parser()
        parser = commands.add_parser(name, help=command.summary, parents=[own], add_help=False)
        _complete_paths(parser, file, folder)
    _complete_paths(root, file, folder)
    return root


def _complete_paths(parser: Parser, file: Mapping[str, Any], folder: Mapping[str, Any]) -> None:
    """Complete folders for DIR, and files and folders for all other paths."""
    for action in parser._actions:
        if action.type in (file_path, output_path) or action.metavar == "WORKUNIT":
            complete = folder if action.metavar == "DIR" else file
            action.complete = complete  # type: ignore[attr-defined]
