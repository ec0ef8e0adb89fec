"""`python -m kkspdnn cache`: list the entries of the cache, or remove them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from kkspdnn.cli.parser import Parser, nonnegative_int
from kkspdnn.pk.build.cache import default_cache
from kkspdnn.pk.build.cache_cleanup import SECONDS_PER_DAY, CacheEntry, clear_cache, list_entries
from kkspdnn.units import MB

_UNITS = ((SECONDS_PER_DAY, "day"), (3600.0, "hour"), (60.0, "minute"))


def parser() -> Parser:
    """Return the parser of `python -m kkspdnn cache`."""
    options = Parser(
        prog="kkspdnn cache",
        description="Show the folder of compiled files, their sizes and when they were last used, "
        "or remove them. Later runs rebuild removed files as needed.",
        examples=["kkspdnn cache", "kkspdnn cache clear --unused 30"],
    )
    add = options.add_argument
    add("action", nargs="?", choices=("show", "clear"), default="show", help="(show)")
    unused = "with clear: remove only entries not used for this number of days"
    add("--unused", type=nonnegative_int, metavar="DAYS", help=unused)
    return options


def show_cache(argv: Sequence[str]) -> Iterator[str]:
    """Show or clear the cache; yields the text to print.

    Raises CacheError if the folder belongs to another user, cannot be changed, or is in use by a
    build.
    """
    options = parser()
    arguments = options.parse_args(argv)
    if arguments.unused is not None and arguments.action != "clear":
        options.error("--unused is for kkspdnn cache clear")
    cache = default_cache()
    if arguments.action == "clear":
        # Other roots are read-only caches of other users.
        root = cache.roots[-1]
        yield f"{root}: removed {_count(clear_cache(root, arguments.unused or 0))}\n"
        return
    for root in cache.roots:
        yield from _list_entries(str(root), list_entries(root))


def _list_entries(root: str, cached: Sequence[CacheEntry]) -> Iterator[str]:
    """Yield a line for each name: the number of its entries, their size and their last use."""
    yield f"{root}: {_count(cached)}\n"
    width = max((len(each.name) for each in cached), default=0)
    for (category, name), group in groupby(cached, key=lambda each: (each.category, each.name)):
        named = list(group)
        yield f"  {category:<10}{name:<{width}}  {_count(named):>22}, used {_age(named[0])}\n"


def _count(cached: Sequence[CacheEntry]) -> str:
    noun = "entry" if len(cached) == 1 else "entries"
    return f"{len(cached)} {noun}, {sum(each.size for each in cached) / MB:,.1f} MB"


def _age(entry: CacheEntry) -> str:
    for seconds, unit in _UNITS:
        number = int(entry.days_unused * SECONDS_PER_DAY / seconds)
        if number:
            return f"{number} {unit}{'s' if number > 1 else ''} ago"
    return "just now"
