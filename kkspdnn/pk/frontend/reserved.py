"""Names that the generated C++ cannot have."""

from __future__ import annotations

import ast
from typing import Final

from kkspdnn.pk.frontend.diagnostics import SourceFile
from kkspdnn.pk.frontend.intrinsics import MATH
from kkspdnn.pk.frontend.parse import FunctionSource

RESERVED: Final = frozenset(
    """alignas alignof and and_eq asm auto bitand bitor bool break case catch char class compl
    concept const consteval constexpr constinit const_cast continue co_await co_return co_yield
    decltype default delete do double dynamic_cast else enum explicit export extern false float
    for friend goto if inline int long mutable namespace new noexcept not not_eq nullptr operator
    or or_eq private protected public register reinterpret_cast requires return short signed
    sizeof static static_assert static_cast struct switch template this thread_local throw true
    try typedef typeid typename union unsigned using virtual void volatile wchar_t while xor
    xor_eq

    int8_t int16_t int32_t int64_t uint8_t uint16_t uint32_t uint64_t size_t std main
    NULL NAN INFINITY EOF assert errno linux unix stdin stdout stderr

    Kokkos""".split()
)
"""Names of C++ and of macros in its headers: no local, parameter or `@pk.function` may have one.

Names that the generated C++ adds begin with an underscore.
"""


def check_name(file: SourceFile, node: ast.AST, name: str) -> None:
    """Refuse a reserved name of a local or a parameter."""
    if name in RESERVED or name.startswith("_") or not name.isascii():
        file.refuse(node, f"`{name}` is a reserved name in C++", "choose another name")


def check_function_name(source: FunctionSource) -> None:
    """Refuse a reserved name of a `@pk.function`."""
    name = source.name
    if name in RESERVED or name in MATH or name == "lanes" or not name.isascii():
        source.file.refuse(
            source.node, f"`{name}` is a reserved name in C++", "choose another name"
        )
