"""`python -m kkspdnn show`: the C++ that the built-in compiler makes of a workunit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kkspdnn.choices import DTYPES
from kkspdnn.cli.guard import importing
from kkspdnn.cli.options import Parser
from kkspdnn.device.space_names import add_space_option


def parser() -> Parser:
    """The options of `python -m kkspdnn show`."""
    made = Parser(
        prog="kkspdnn show",
        description="Print the C++ that the built-in compiler makes of a workunit.",
        epilog="Without WORKUNIT: the list of the engines' workunits.",
        allow_abbrev=False,
    )
    add = made.add_argument
    own = "one of the engines', or your own as FILE.py:NAME or MODULE:NAME"
    add("workunit", nargs="?", metavar="WORKUNIT", help=own)
    add_space_option(made)
    dtype = "what the engines compute in (float32)"
    add("--dtype", choices=DTYPES, default="float32", help=dtype)
    types = "of parameters without annotation: x=float32[3],index=uint16[2],zero=float32"
    add("--types", default="", metavar="LIST", help=types)
    assembly = "compile it, and print the machine code of its loop (needs objdump)"
    add("--assembly", action="store_true", help=assembly)
    return made


def show(given: Sequence[str]) -> Iterator[str]:
    """The text that the command prints for these arguments, in parts.

    Raises InputError for a workunit or types that are none, WorkunitError for what the language
    does not take, SpaceError, ToolchainError and CacheError.
    """
    options = parser()
    options.refuse_unknown(given)
    arguments = options.parse_args(given)
    with importing():
        from kkspdnn.cli.workunit_text import workunit_text

    yield from workunit_text(arguments)
