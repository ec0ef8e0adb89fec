"""The calls in a forward pass of a PyTorch model, if each takes the result of the one before.

torch.fx records the calls without input rows: those of modules of PyTorch, such as Linear, and
those of functions and methods of tensors in other modules. Control flow that depends on the rows
cannot be recorded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kkspdnn.errors import InputError, first_line
from kkspdnn.io.pytorch_tensors import check_hooks, is_parametrized
from kkspdnn.io.torch_wrappers import check_not_wrapped

BATCH = "batch"
"""Stands for the number of rows, x.size(0), in the arguments of a call."""


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a forward pass.

    label: the path of the module, such as Net.fc1, or the function and its line in the source
    target: the module, or the name of the function or method
    arguments: without the result of the call before
    """

    label: str
    target: Any
    arguments: tuple[Any, ...] = ()
    keywords: Mapping[str, Any] = field(default_factory=dict)


def trace_calls(model: Any) -> list[Call]:
    """Return the calls of a forward pass in eval mode, in order. The model is not changed.

    model: a torch.nn.Module whose forward takes one tensor and returns one

    Raises InputError naming the first call whose input is not the result of the call before, for a
    forward that cannot be recorded, for forward hooks of modules whose forward is recorded, and as
    `check_not_wrapped`.
    """
    from torch import nn

    # The module that torch.compile was called with.
    model = getattr(model, "_orig_mod", model)
    path = type(model).__name__
    if not isinstance(model, nn.Module):
        raise InputError(f"model of type {path} is not supported; give a torch.nn.Module")
    check_not_wrapped(model, "model")
    if _is_leaf(model):
        return [Call(path, model)]
    check_hooks(model, path)
    with _eval_mode(model):
        nodes = _trace(model, path)
    return list(_chain(nodes, model, path))


def _is_leaf(module: Any) -> bool:
    """Return whether a call of this module is recorded, instead of those of its forward."""
    from torch import nn

    if type(module).__module__.startswith("torch.nn"):
        return type(module) is not nn.Sequential
    # A subclass may compute something else than its base class. Its forward shows it.
    return is_parametrized(module, nn.Linear)


@contextmanager
def _eval_mode(model: Any) -> Iterator[None]:
    """Set the flag `training` of all modules to False for a while."""
    training = [module for module in model.modules() if module.training]
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True


def _trace(model: Any, path: str) -> list[Any]:
    """Return the torch.fx nodes of a forward pass."""
    from torch import fx

    class Tracer(fx.Tracer):  # type: ignore[misc]
        record_stack_traces = True

        def is_leaf_module(self, m: Any, module_qualified_name: str) -> bool:
            return _is_leaf(m)

        def call_module(self, m: Any, forward: Any, args: Any, kwargs: Any) -> Any:
            label = f"{path}.{self.path_of_module(m)}"
            check_not_wrapped(m, label)
            if not _is_leaf(m):
                check_hooks(m, label)
            return super().call_module(m, forward, args, kwargs)

    try:
        graph = Tracer().trace(model)
    except InputError:
        raise
    except Exception as error:
        # The forward is user code, which may raise any exception.
        reason = first_line(error)
        needed = "; a chain of calls without conditions on the rows is needed"
        remedy = needed if isinstance(error, fx.proxy.TraceError) else ""
        raise InputError(f"{path}: its forward cannot be traced: {reason:.200}{remedy}") from error
    return list(graph.nodes)


def _chain(nodes: list[Any], model: Any, path: str) -> Iterator[Call]:
    """Yield the calls of nodes that form a chain."""
    current = _input(nodes, path)
    for node in nodes:
        if node.op == "placeholder" or _is_shape(node):
            continue
        if node.op == "output":
            if node.args != (current,):
                raise InputError(f"{path}: forward must return the result of the last call alone")
            return
        label = _label(node, path)
        if node.op == "get_attr":
            raise InputError(f"{label}: used outside a module of PyTorch; use a Linear")
        inputs = [each for each in node.all_input_nodes if not _is_shape(each)]
        if len(inputs) > 1:
            raise InputError(
                f"{label}: joins two branches, as in a residual connection; only a chain of calls "
                "is supported"
            )
        if inputs != [current]:
            raise InputError(
                f"{label}: its input is not the result of the call before; only a chain of calls "
                "is supported"
            )
        target = model.get_submodule(node.target) if node.op == "call_module" else _name(node)
        yield Call(label, target, *_arguments(node))
        current = node


def _input(nodes: list[Any], path: str) -> Any:
    """Return the node of the only input of forward. Other parameters may have unused defaults."""
    inputs = [node for node in nodes if node.op == "placeholder"]
    needed = [node for node in inputs if node.users or not node.args]
    if len(needed) != 1 or needed[0] is not inputs[0]:
        raise InputError(f"{path}: forward must take one tensor, it takes {len(needed)}")
    return inputs[0]


def _is_shape(node: Any) -> bool:
    """Return whether a node is x.size(…), x.shape or one of its elements."""
    if node.op == "call_method":
        return bool(node.target == "size")
    if node.op != "call_function" or _name(node) not in ("getattr", "getitem"):
        return False
    return node.args[1:] == ("shape",) or _is_shape(node.args[0])


def _arguments(node: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments of a call after its first one, with BATCH for the number of rows."""
    from torch import fx

    def number_of_rows(argument: Any) -> Any:
        return BATCH if argument.args[1:] == (0,) else argument

    arguments, keywords = fx.node.map_arg((node.args[1:], node.kwargs), number_of_rows)
    return tuple(arguments), dict(keywords)


def _name(node: Any) -> str:
    """Return the name of the function or method that a node calls."""
    if isinstance(node.target, str):
        return node.target
    return str(getattr(node.target, "__name__", node.target))


def _label(node: Any, path: str) -> str:
    """Return the path of a module, or the name of a function and its line, for messages."""
    import torch

    if node.op in ("call_module", "get_attr"):
        return f"{path}.{node.target}"
    frames = re.findall(r'File "(.*)", line ([0-9]+), in ', node.stack_trace or "")
    library = str(Path(torch.__file__).parent)
    own = [(file, line) for file, line in frames if not file.startswith(library)]
    where = f" in line {own[-1][1]} of {Path(own[-1][0]).name}" if own else ""
    return f"{path}: {_name(node)}{where}"
