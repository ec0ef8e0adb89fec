"""`python -m kkspdnn info`: report compilers, Kokkos, execution spaces and the cache."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kkspdnn.cli.exit_codes import ending_at_interrupt
from kkspdnn.cli.option_names import name_options
from kkspdnn.cli.parser import Parser


def parser() -> Parser:
    """Return the parser of `python -m kkspdnn info`."""
    return Parser(
        prog="kkspdnn info",
        description="Report compilers, Kokkos, execution spaces and the cache. Each space runs a "
        "small network; the first call builds Kokkos, in a minute or two.",
        examples=["kkspdnn info"],
    )


def info(argv: Sequence[str]) -> Iterator[str]:
    """Yield the lines to print, as soon as they are known."""
    parser().parse_args(argv)
    with ending_at_interrupt():
        from kkspdnn.cli.findings import findings

    section = ""
    for finding in findings():
        if finding.section != section:
            section = finding.section
            yield f"{section}\n"
        mark = {True: "+", False: "-", None: " "}[finding.ok]
        yield f"  {mark} {finding.name}: {name_options(finding.text)}\n"
