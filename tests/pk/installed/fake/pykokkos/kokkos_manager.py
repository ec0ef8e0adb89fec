from types import SimpleNamespace

from pykokkos import ExecutionSpace


def get_available_execution_spaces():
    return [ExecutionSpace.OpenMP, ExecutionSpace.Serial]


def get_execution_space_instance(space):
    return SimpleNamespace(instance=f"instance of {space.value}")
