"""
The challenge's images, made from the raw MNIST file (LeCun, Cortes, Burges; the IDX format).

The challenge describes its images as MNIST "resized" to M x M and thresholded (Kepner et al., HPEC
2019). This recipe was found by comparing with its files: of the first 1200 images of 1024 pixels 10
of 1,228,800 pixels differ.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Iterator
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kkspdnn.errors import InputError
from kkspdnn.io.shipped_images import take_rows
from kkspdnn.io.tsv import open_text, unreadable
from kkspdnn.model.inputs import Inputs

_RAW_SIDE = 28
_SIDES = {1024: 32, 4096: 64, 16384: 128, 65536: 256}
_MAGIC = 0x00000803  # unsigned bytes, three dimensions
_LIMIT = 1 << 31


def mnist_images(path: str | PathLike[str], neurons: int, rows: int | None = None) -> Inputs:
    """
    The first `rows` (None: all) images of a raw MNIST file (IDX3, plain or gzipped) as input bits.

    `neurons` is 1024, 4096, 16384 or 65536, M = 32, 64, 128, 256 a side. Fourier resampling from 28
    to M down each image's columns, image by image; then from 28 n to M n along each row of all n
    images laid side by side; a pixel is 1 where the result is at least half of the largest value
    over all images. So every image of the file takes part, whatever `rows` is.

    Neuron = column * M + row. At 65,536 neurons 60,000 images take 1.7 GB of memory and some
    minutes, at 1024 neurons 0.7 GB and seconds. InputError for another size, more rows than images,
    or a file that is not IDX of 28 x 28 images.
    """
    if neurons not in _SIDES:
        raise InputError(f"{neurons} neurons: use {', '.join(map(str, _SIDES))}")
    side, file = _SIDES[neurons], Path(path)
    raw = read_idx(file)
    count = take_rows(rows, raw.shape[0])
    largest = max((float(line.max()) for line in _lines(raw, side)), default=0.0)
    # nothing but black has no half of the largest value: then no pixel is 1
    half = largest / 2 if raw.any() else np.inf
    bits = np.zeros((count, side, side // 8), np.uint8)  # image, column, eight rows
    eight: list[NDArray[np.bool_]] = []
    # made a second time, because all lines of the big sizes together would not fit into memory
    for number, line in enumerate(_lines(raw, side)):
        eight.append(line.reshape(-1, side)[:count] >= half)
        if len(eight) == 8:
            bits[:, :, number // 8] = np.packbits(np.stack(eight), axis=0)[0]
            eight.clear()
    return Inputs(
        rows=count,
        neurons=neurons,
        source=f"MNIST file {file.name}, Fourier resampled to {side}x{side}",
        bits=bits.reshape(count, neurons // 8),
    )


def read_idx(path: Path) -> NDArray[np.uint8]:
    """
    The images of an IDX3 file, uint8[images, 28, 28]; InputError naming the file for all else.
    """
    with open_text(path) as file:
        try:
            head = file.read(16)
            count = _idx_count(path, head)
            # One byte more than the header claims tells whether there is more.
            body = file.read(min(count * _RAW_SIDE**2 + 1, _LIMIT))
        except (gzip.BadGzipFile, EOFError, zlib.error, OSError) as error:
            raise unreadable(path, error) from error
    if len(body) != count * _RAW_SIDE**2:
        least = "at least " if len(body) > count * _RAW_SIDE**2 else ""
        raise InputError(
            f"{path}: {least}{len(body)} bytes of pixels; {count} images need "
            f"{count * _RAW_SIDE**2}"
        )
    return np.frombuffer(body, np.uint8).reshape(count, _RAW_SIDE, _RAW_SIDE)


def _idx_count(path: Path, head: bytes) -> int:
    """How many images the header of an IDX3 file claims; InputError unless they are 28 x 28."""
    if len(head) < 16 or struct.unpack(">I", head[:4])[0] != _MAGIC:
        raise InputError(f"{path}: not an IDX file of images (magic number {_MAGIC:#010x})")
    count, height, width = struct.unpack(">III", head[4:])
    if (height, width) != (_RAW_SIDE, _RAW_SIDE):
        raise InputError(f"{path}: images of {height} x {width}; MNIST's are 28 x 28")
    return int(count)


def fourier_resampled(signal: NDArray[np.float64], samples: int) -> NDArray[np.float64]:
    """A real signal [..., n] as `samples` >= n samples: the same band-limited periodic function."""
    from scipy.fft import irfft, rfft  # a tenth of a second that other runs need not wait

    before = signal.shape[-1]
    spectrum = rfft(signal, axis=-1)
    if before % 2 == 0 and samples > before:
        # the highest frequency stands for a conjugate pair that is split in the longer signal
        spectrum[..., -1] *= 0.5
    made: NDArray[np.float64] = irfft(spectrum, samples, axis=-1)
    made *= samples / before
    return made


def _lines(raw: NDArray[np.uint8], side: int) -> Iterator[NDArray[np.float64]]:
    """For each of `side` pixel rows that row of all images side by side, float64[side * images]."""
    if raw.shape[0] == 0:
        return
    across = np.ascontiguousarray(raw.transpose(1, 0, 2)).reshape(_RAW_SIDE, -1).astype(np.float64)
    # resampling is linear, so one matrix [side, 28] does it for the columns of every image
    down = fourier_resampled(np.eye(_RAW_SIDE), side).T
    for weights in down:
        yield fourier_resampled(weights @ across, side * raw.shape[0])
