"""One copy of an object's arrays in a node's memory, shared by all ranks of the node.

The first rank of the node creates the object and pickles it with its arrays out of band (PEP 574).
The arrays are copied into an anonymous memory file (memfd_create), which the other ranks map
read-only. The kernel frees the file when the last process that maps it ends, however it ends, and
the size of /dev/shm does not limit it.
"""

from __future__ import annotations

import mmap
import os
import pickle
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, TypeVar

from kkspdnn.errors import InputError, KkspdnnError

T = TypeVar("T")

_ALIGNMENT = 64
"""Bytes of a cache line, at which arrays begin."""


class NodeLeaderError(KkspdnnError):
    """The first rank of the node failed to create a shared object; its own error has the reason."""


@dataclass(frozen=True)
class _SharedObject:
    """The description of a shared object that the other ranks receive.

    pickled: the object without its arrays; sizes: bytes of each array
    path, name: of the memory file in the first rank's /proc folder
    """

    pickled: bytes
    sizes: list[int]
    path: str
    name: str

    @property
    def total(self) -> int:
        """Bytes of the memory file."""
        return max(1, sum(map(_aligned, self.sizes)))


def share_on_node(node: Any, create: Callable[[], T]) -> T:
    """Return the object that `create` returns on the first rank of `node`, with read-only arrays.

    node: an mpi4py communicator of the ranks of one node; all of them call this function

    Each array of the created object is released once it is copied, so that few arrays are in memory
    twice. If `create` raises, the first rank raises the same error and the others NodeLeaderError.
    """
    if node.size == 1:
        return create()
    if node.rank == 0:
        try:
            shared, memory = _write(create)
        except BaseException:
            node.bcast(None)
            raise
        node.bcast(shared)
    else:
        shared = node.bcast(None)
        if shared is None:
            raise NodeLeaderError("the first rank of this node failed")
        memory = _map(shared)
    node.Barrier()
    if node.rank == 0:
        os.close(int(shared.path.rpartition("/")[2]))
    view = memoryview(memory).toreadonly()
    ends = accumulate(map(_aligned, shared.sizes))
    buffers = [
        view[end - _aligned(size) :][:size] for end, size in zip(ends, shared.sizes, strict=True)
    ]
    result: T = pickle.loads(shared.pickled, buffers=buffers)
    return result


def _write(create: Callable[[], Any]) -> tuple[_SharedObject, mmap.mmap]:
    """Create the object and copy its arrays into a new memory file."""
    buffers: list[pickle.PickleBuffer] = []
    pickled = pickle.dumps(create(), protocol=5, buffer_callback=buffers.append)
    sizes = [buffer.raw().nbytes for buffer in buffers]
    name = f"kkspdnn-{secrets.token_hex(8)}"
    descriptor = os.memfd_create(name)
    shared = _SharedObject(pickled, sizes, f"/proc/{os.getpid()}/fd/{descriptor}", name)
    os.ftruncate(descriptor, shared.total)
    memory = mmap.mmap(descriptor, shared.total)
    begin = 0
    buffers.reverse()
    while buffers:
        raw = buffers.pop().raw()
        memory[begin : begin + raw.nbytes] = raw
        begin += _aligned(raw.nbytes)
    return shared, memory


def _map(shared: _SharedObject) -> mmap.mmap:
    """Map the memory file of the first rank and fill the page table at once."""
    try:
        if shared.name not in os.readlink(shared.path):
            raise FileNotFoundError(shared.path)
        descriptor = os.open(shared.path, os.O_RDONLY)
    except OSError as error:
        raise InputError(
            "the ranks of a node cannot access each other's memory: run them in one container, or "
            "one rank in each"
        ) from error
    try:
        flags = mmap.MAP_SHARED | mmap.MAP_POPULATE
        return mmap.mmap(descriptor, shared.total, flags=flags, prot=mmap.PROT_READ)
    finally:
        os.close(descriptor)


def _aligned(size: int) -> int:
    """Round a number of bytes up to a multiple of the alignment."""
    return -(-size // _ALIGNMENT) * _ALIGNMENT
