from types import SimpleNamespace

from pykokkos.core.compiler import Compiler

runtime_singleton = SimpleNamespace(runtime=SimpleNamespace(compiler=Compiler()))
