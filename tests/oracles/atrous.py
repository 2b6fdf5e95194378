"""Slow definitions of the layers in NumPy, float64, one tap or one pixel at a time."""

import math

import numpy as np


def atrous_conv(x, kernel, rate):
    """`y[i] = sum_k x[i + r k] w[k]` with zeros outside, TensorFlow's SAME: the odd zero of an even kernel comes after.

    x [batch, *spatial, in], kernel [*taps, in, out]; one or two spatial dimensions.
    """
    y = np.zeros((*x.shape[:-1], kernel.shape[-1]))
    for tap, window in _taps(x.shape, kernel.shape, rate):
        y += _pad(x, kernel.shape, rate)[window] @ kernel[tap]
    return y


def atrous_conv_gradients(x, kernel, rate, upstream):
    """The gradients of `sum(upstream * y)` by x and by the kernel."""
    padded = _pad(x, kernel.shape, rate)
    by_padded, by_kernel = np.zeros_like(padded), np.zeros(kernel.shape)
    spatial = list(range(x.ndim - 1))
    for tap, window in _taps(x.shape, kernel.shape, rate):
        by_padded[window] += upstream @ kernel[tap].T
        by_kernel[tap] = np.tensordot(padded[window], upstream, axes=(spatial, spatial))
    inside = (
        slice(None),
        *(slice(before, before + n) for (before, _), n in zip(_zeros(kernel.shape, rate), x.shape[1:-1], strict=True)),
    )
    return by_padded[inside], by_kernel


def _zeros(kernel_shape, rate):
    totals = [(taps - 1) * rate for taps in kernel_shape[:-2]]
    return [(total // 2, total - total // 2) for total in totals]


def _pad(x, kernel_shape, rate):
    return np.pad(np.asarray(x, np.float64), [(0, 0), *_zeros(kernel_shape, rate), (0, 0)])


def _taps(shape, kernel_shape, rate):
    for tap in np.ndindex(*kernel_shape[:-2]):
        yield tap, (slice(None), *(slice(t * rate, t * rate + n) for t, n in zip(tap, shape[1:-1], strict=True)))


def conv2d(x, kernel, strides, rate, pad):
    """Caffe's convolution: `pad` zeros on every side, output size `floor((n + 2 pad - extent) / stride) + 1`."""
    extent = rate * (kernel.shape[0] - 1) + 1
    padded = np.pad(np.asarray(x, np.float64), [(0, 0), (pad, pad), (pad, pad), (0, 0)])
    rows, columns = ((n + 2 * pad - extent) // strides + 1 for n in x.shape[1:3])
    y = np.zeros((x.shape[0], rows, columns, kernel.shape[-1]))
    for i, j in np.ndindex(rows, columns):
        for u, v in np.ndindex(*kernel.shape[:2]):
            y[:, i, j] += padded[:, i * strides + u * rate, j * strides + v * rate] @ kernel[u, v]
    return y


def max_pool(x, strides, rate=1):
    """Caffe's 3x3 max pool with padding 1 (`rate` when dilated): ceil mode, a last window beyond n + pad is dropped."""

    def size(n):
        if strides == 1:
            return n
        out = math.ceil((n + 2 - 3) / strides) + 1
        return out - 1 if (out - 1) * strides >= n + 1 else out

    rows, columns = size(x.shape[1]), size(x.shape[2])
    y = np.full((x.shape[0], rows, columns, x.shape[3]), -np.inf)
    for i, j in np.ndindex(rows, columns):
        for u, v in np.ndindex(3, 3):
            row, column = i * strides + (u - 1) * rate, j * strides + (v - 1) * rate
            if 0 <= row < x.shape[1] and 0 <= column < x.shape[2]:
                y[:, i, j] = np.maximum(y[:, i, j], x[:, row, column])
    return y


def resize_align_corners(x, size):
    """Caffe's Interp: output i reads `i * (in - 1) / (out - 1)`, bilinear."""
    x = np.asarray(x, np.float64)
    y = np.zeros((x.shape[0], *size, x.shape[3]))
    for i, j in np.ndindex(*size):
        (r0, r1, fr), (c0, c1, fc) = _source(i, x.shape[1], size[0]), _source(j, x.shape[2], size[1])
        top = (1 - fc) * x[:, r0, c0] + fc * x[:, r0, c1]
        bottom = (1 - fc) * x[:, r1, c0] + fc * x[:, r1, c1]
        y[:, i, j] = (1 - fr) * top + fr * bottom
    return y


def _source(i, n, out):
    at = i * (n - 1) / (out - 1) if out > 1 else 0.0
    low = min(int(at), n - 1)
    return low, min(low + 1, n - 1), at - low
