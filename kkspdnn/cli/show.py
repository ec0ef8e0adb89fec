"""`python -m kkspdnn show`: print the C++ that the built-in compiler generates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kkspdnn.choices import DTYPES
from kkspdnn.cli.exit_codes import ending_at_interrupt
from kkspdnn.cli.parser import Parser
from kkspdnn.device.space_names import add_space_option


def parser() -> Parser:
    """Return the parser of `python -m kkspdnn show`."""
    options = Parser(
        prog="kkspdnn show",
        description="Print the C++ that the built-in compiler generates from a workunit. Without "
        "WORKUNIT: list the workunits of the engines.",
        examples=[
            "kkspdnn show",
            "kkspdnn show fused_csr --dtype float64",
            "kkspdnn show kernels.py:scale --types x=float32[1] --assembly",
        ],
    )
    add = options.add_argument
    workunit = "a workunit of the engines, or your own as FILE.py:NAME or MODULE:NAME"
    add("workunit", nargs="?", metavar="WORKUNIT", help=workunit)
    add_space_option(options)
    dtype = "dtype of weights and activations (float32)"
    add("--dtype", choices=DTYPES, default="float32", help=dtype)
    types = "types of parameters without annotation: x=float32[3],index=uint16[2],zero=float32"
    add("--types", default="", metavar="LIST", help=types)
    assembly = "compile the workunit and print the machine code of its loop (needs objdump)"
    add("--assembly", action="store_true", help=assembly)
    return options


def show(argv: Sequence[str]) -> Iterator[str]:
    """Yield the text to print, in chunks.

    Raises InputError for an unknown workunit or type, WorkunitError for code outside the language
    of PyKokkos, SpaceError, ToolchainError and CacheError.
    """
    options = parser()
    arguments = options.parse_args(argv)
    with ending_at_interrupt():
        from kkspdnn.cli.workunit_text import workunit_text

    yield from workunit_text(arguments)
