"""One copy of an object's arrays in a node's memory, for all processes on the node.

The first rank of the node makes the object. Pickle gives its arrays out of band (PEP 574); they go
into memory without a name in any file system (memfd_create), which the others map read-only. It is
gone with the last process that maps it, however that ends, and no size of /dev/shm limits it.
"""

from __future__ import annotations

import mmap
import os
import pickle
import secrets
from collections.abc import Callable
from itertools import accumulate
from typing import Any, TypeVar

from kkspdnn.errors import InputError, KkspdnnError

T = TypeVar("T")

_ALIGNMENT = 64
"""Bytes of a cache line: where arrays begin."""


class NotMadeError(KkspdnnError):
    """The first rank of the node, which says why, could not make what was to be shared."""


def shared(node: Any, make: Callable[[], T]) -> T:
    """What `make` gives on the first rank of `node`, on all of them; its arrays are read-only.

    node: a communicator of processes on one node. Called by all of them. The arrays that `make`
    gave are let go one by one as they are copied, so that few of them are there twice. Where `make`
    raises, so does this, NotMadeError on the others.
    """
    if node.size == 1:
        return make()
    if node.rank == 0:
        try:
            text, sizes, place, mapped = _published(make)
        except BaseException:
            node.bcast(None)
            raise
        node.bcast((text, sizes, place))
    else:
        published = node.bcast(None)
        if published is None:
            raise NotMadeError("the first rank of this node failed")
        text, sizes, place = published
        mapped = _opened(place, sum(map(_aligned, sizes)))
    node.Barrier()
    if node.rank == 0:
        os.close(int(place[0].rpartition("/")[2]))
    view = memoryview(mapped).toreadonly()
    ends = accumulate(map(_aligned, sizes))
    buffers = [view[end - _aligned(size) :][:size] for end, size in zip(ends, sizes, strict=True)]
    found: T = pickle.loads(text, buffers=buffers)
    return found


def _published(make: Callable[[], Any]) -> tuple[bytes, list[int], tuple[str, str], mmap.mmap]:
    """The pickled object, its arrays' bytes, the path and name of the memory, and the memory."""
    buffers: list[pickle.PickleBuffer] = []
    text = pickle.dumps(make(), protocol=5, buffer_callback=buffers.append)
    sizes = [buffer.raw().nbytes for buffer in buffers]
    name = f"kkspdnn-{secrets.token_hex(8)}"
    descriptor = os.memfd_create(name)
    total = sum(map(_aligned, sizes))
    os.ftruncate(descriptor, max(1, total))
    mapped = mmap.mmap(descriptor, max(1, total))
    begin = 0
    buffers.reverse()
    while buffers:
        raw = buffers.pop().raw()
        mapped[begin : begin + raw.nbytes] = raw
        begin += _aligned(raw.nbytes)
    return text, sizes, (f"/proc/{os.getpid()}/fd/{descriptor}", name), mapped


def _opened(place: tuple[str, str], total: int) -> mmap.mmap:
    """The memory of another process, all of it in this one's page table at once."""
    path, name = place
    try:
        if name not in os.readlink(path):
            raise FileNotFoundError(path)
        descriptor = os.open(path, os.O_RDONLY)
    except OSError as error:
        raise InputError(
            "the ranks of a node do not see each other's memory: run them in one container, or "
            "one rank in each"
        ) from error
    try:
        flags = mmap.MAP_SHARED | mmap.MAP_POPULATE
        return mmap.mmap(descriptor, max(1, total), flags=flags, prot=mmap.PROT_READ)
    finally:
        os.close(descriptor)


def _aligned(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT
