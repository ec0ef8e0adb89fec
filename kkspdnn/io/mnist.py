"""
The challenge's images, computed from the raw MNIST file (LeCun, Cortes, Burges; IDX format).

The challenge describes its images as MNIST "resized" to M x M and thresholded (Kepner et al., HPEC
2019), without the method. The method here was determined by comparison with its files: in the first
1200 images of 1024 pixels, 10 of 1,228,800 pixels differ.
"""

from __future__ import annotations

from collections.abc import Iterator
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kkspdnn.device.memory import Budget
from kkspdnn.errors import InputError
from kkspdnn.io.idx import idx_shape, read_idx
from kkspdnn.io.path_arguments import to_path
from kkspdnn.io.shipped_images import row_count
from kkspdnn.model.inputs import Inputs

_RAW_SIDE = 28
_SIDES = {1024: 32, 4096: 64, 16384: 128, 65536: 256}

MNIST_NEURONS = tuple(_SIDES)
"""The numbers of neurons of an input row that MNIST images can be resized to."""


def mnist_images(path: str | PathLike[str], neurons: int, rows: int | None = None) -> Inputs:
    """
    The images of a raw MNIST file as input rows of bits.

    path: an IDX3 file of 28 x 28 images, plain or gzipped
    neurons: 1024, 4096, 16384 or 65536, for images of M x M pixels with M = 32, 64, 128 or 256
    rows: the number of images, from the first one on; None: all

    Each column of each image is Fourier resampled from 28 to M pixels. Then the n images are placed
    side by side, and each row is resampled from 28 n to M n pixels. A pixel is 1 if its value is at
    least half of the largest value of all images, so the result depends on all images of the file
    for any `rows`. The neuron of a pixel is column * M + row.

    60,000 images take 1.7 GB of memory and some minutes for 65,536 neurons, and 0.7 GB and seconds
    for 1024 neurons. InputError for another size, for more rows than images, or for another file
    format.
    """
    if neurons not in MNIST_NEURONS:
        raise InputError(f"{neurons} neurons: use {', '.join(map(str, MNIST_NEURONS))}")
    side, file = _SIDES[neurons], to_path(path)
    raw = _read_images(file)
    count = row_count(rows, raw.shape[0])
    largest = max((float(row.max()) for row in _resampled_rows(raw, side)), default=0.0)
    # If all images are black, no pixel is 1.
    threshold = largest / 2 if raw.any() else np.inf
    bits = np.zeros((count, side, side // 8), np.uint8)  # image, column, group of eight rows
    eight_rows: list[NDArray[np.bool_]] = []
    # Resample a second time, because all rows of the large sizes would not fit into memory.
    for number, row in enumerate(_resampled_rows(raw, side)):
        eight_rows.append(row.reshape(-1, side)[:count] >= threshold)
        if len(eight_rows) == 8:
            bits[:, :, number // 8] = np.packbits(np.stack(eight_rows), axis=0)[0]
            eight_rows.clear()
    return Inputs(
        rows=count,
        neurons=neurons,
        source=f"MNIST file {file.name}, Fourier resampled to {side}x{side}",
        bits=bits.reshape(count, neurons // 8),
    )


def _read_images(path: Path) -> NDArray[np.uint8]:
    """The images of MNIST in an IDX file, uint8[images, 28, 28]. InputError for another size."""
    _, height, width = idx_shape(path)
    if (height, width) != (_RAW_SIDE, _RAW_SIDE):
        raise InputError(f"{path}: images of {height} x {width}; MNIST's are 28 x 28")
    return read_idx(path, None, Budget())


def fourier_resampled(signal: NDArray[np.float64], samples: int) -> NDArray[np.float64]:
    """Fourier resampling of real signals [..., n] to [..., samples], samples >= n.

    The result samples the same band-limited periodic function.
    """
    from scipy.fft import irfft, rfft  # imported here because it takes a tenth of a second

    before = signal.shape[-1]
    spectrum = rfft(signal, axis=-1)
    if before % 2 == 0 and samples > before:
        # The highest frequency is the sum of a conjugate pair, which the longer signal splits.
        spectrum[..., -1] *= 0.5
    resampled: NDArray[np.float64] = irfft(spectrum, samples, axis=-1)
    resampled *= samples / before
    return resampled


def _resampled_rows(raw: NDArray[np.uint8], side: int) -> Iterator[NDArray[np.float64]]:
    """The `side` pixel rows of all images placed side by side, each float64[side * images]."""
    if raw.shape[0] == 0:
        return
    across = np.ascontiguousarray(raw.transpose(1, 0, 2)).reshape(_RAW_SIDE, -1).astype(np.float64)
    # Resampling is linear, so one matrix [side, 28] resamples the columns of all images.
    down = fourier_resampled(np.eye(_RAW_SIDE), side).T
    for weights in down:
        yield fourier_resampled(weights @ across, side * raw.shape[0])
