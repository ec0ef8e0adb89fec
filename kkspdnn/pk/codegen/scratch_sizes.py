"""C++ of the sizes of scratch views, which a launch checks and allocates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kkspdnn.pk import ir
from kkspdnn.pk.codegen.cpp_expressions import expression
from kkspdnn.pk.codegen.cpp_statements import scratch_type
from kkspdnn.pk.codegen.writer import Writer

HEADERS: Final = ("initializer_list", "stdexcept", "string")
"""The headers that `put_scratch_check` needs."""

CHECK: Final = "check scratch"
"""The beginning of the error of a scratch view that cannot be allocated."""

_MAX_BYTES: Final = 10**9
"""Maximum size of the scratch views of a team. Kokkos counts the bytes in an `int`, and
those of level 1 twice."""

_CHECK_CLASS: Final = f"""\
struct _scratch {{
  double bytes = 0;
  void add(const char* view, double size, std::initializer_list<int64_t> extents) {{
    bool valid = true;
    for (const int64_t extent : extents) {{
      valid = valid && extent >= 0;
      size *= static_cast<double>(extent);
    }}
    bytes += size;
    if (valid && bytes <= {_MAX_BYTES}) return;
    std::string text = "{CHECK}: scratch view " + std::string(view) + " with the extents ";
    for (const int64_t extent : extents) text += std::to_string(extent) + ", ";
    text.resize(text.size() - 2);
    throw std::invalid_argument(text + (valid ?
      ": those of a team have at most {_MAX_BYTES} bytes" : ": extents are 0 or more"));
  }}
}};
"""


def scratch_levels(scratch: Sequence[ir.DeclareScratch]) -> list[tuple[str, int]]:
    """Return the kinds of scratch memory that views lie in: its method of a team, and the level."""
    return sorted({(s.memory, s.level) for s in scratch})


def put_scratch_check(out: Writer) -> None:
    """Write the class that checks scratch views."""
    for line in _CHECK_CLASS.splitlines():
        out.put(line)
    out.put()


def put_scratch_sizes(out: Writer, scratch: Sequence[ir.DeclareScratch]) -> None:
    """Write the functions of a functor that return the bytes of the scratch views of one team or
    thread, and the one that throws if a team of this size cannot have them."""
    for memory, level in scratch_levels(scratch):
        sizes = [
            f"{scratch_type(s)}::shmem_size({', '.join(expression(e) for e in s.extents)})"
            for s in scratch
            if (s.memory, s.level) == (memory, level)
        ]
        out.open(f"size_t _{memory}_{level}() const")
        out.put(f"return {' + '.join(sizes)};")
        out.close()
    if not scratch:
        return
    out.open("void _check_scratch(const double team_size) const")
    out.put("_scratch total;")
    for s in scratch:
        size = f"sizeof({s.element.cpp})"
        if s.memory == "thread_scratch":
            size = f"team_size * {size}"
        extents = ", ".join(f"static_cast<int64_t>({expression(e)})" for e in s.extents)
        out.put(f'total.add("{s.name}", {size}, {{{extents}}});')
    out.close()
