"""`python -m kkspdnn cache`: what the cache holds, and clearing it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from kkspdnn.cli.options import Parser, whole
from kkspdnn.pk.build.cache import default_cache
from kkspdnn.pk.build.cache_upkeep import DAY, Entry, clear, entries

_MB = 1e6
_UNITS = ((DAY, "day"), (3600.0, "hour"), (60.0, "minute"))


def parser() -> Parser:
    """The options of `python -m kkspdnn cache`."""
    made = Parser(
        prog="kkspdnn cache",
        description="Show the folder of compiled files, their sizes and when they were last used, "
        "or remove them: what a later run needs is built again.",
        allow_abbrev=False,
    )
    add = made.add_argument
    add("action", nargs="?", choices=("show", "clear"), default="show", help="(show)")
    unused = "with clear: remove only what was not used for so many days"
    add("--unused", type=whole, metavar="DAYS", help=unused)
    return made


def show_cache(given: Sequence[str]) -> Iterator[str]:
    """Show or clear the cache, and give the text that the command prints for these arguments.

    Raises CacheError where the folder belongs to others, cannot be changed, or is being built into.
    """
    options = parser()
    options.refuse_unknown(given)
    arguments = options.parse_args(given)
    if arguments.unused is not None and arguments.action != "clear":
        options.error("--unused is for kkspdnn cache clear")
    store = default_cache()
    if arguments.action == "clear":
        # The one that others keep for this user to read is theirs to clear.
        root = store.roots[-1]
        yield f"{root}: removed {_count(clear(root, arguments.unused or 0))}\n"
        return
    for root in store.roots:
        yield from _listed(str(root), entries(root))


def _listed(root: str, found: Sequence[Entry]) -> Iterator[str]:
    """A line for each name: how many entries have it, their size, the last use of any of them."""
    yield f"{root}: {_count(found)}\n"
    width = max((len(each.name) for each in found), default=0)
    for (kind, name), group in groupby(found, key=lambda each: (each.kind, each.name)):
        same = list(group)
        yield f"  {kind:<10}{name:<{width}}  {_count(same):>22}, used {_age(same[0])}\n"


def _count(found: Sequence[Entry]) -> str:
    noun = "entry" if len(found) == 1 else "entries"
    return f"{len(found)} {noun}, {sum(each.size for each in found) / _MB:,.1f} MB"


def _age(entry: Entry) -> str:
    for seconds, unit in _UNITS:
        number = int(entry.days * DAY / seconds)
        if number:
            return f"{number} {unit}{'s' if number > 1 else ''} ago"
    return "just now"
