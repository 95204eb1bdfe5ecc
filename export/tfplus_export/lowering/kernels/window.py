"""The geometry of a window that slides over height and width, and its taps.

A window of kernel k, stride s and dilation d reads, for output row r and tap i, the padded input
row r*s + i*d. Rows that are equal modulo s form a *phase*; within a phase that tap is the plain
slice that starts at (i*d)//s. Splitting into phases needs RESHAPE and SLICE alone, with unit
strides and at most 4 dimensions, which every delegate takes; STRIDED_SLICE with larger strides none
does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import tensorflow as tf

from tfplus.errors import ExportError
from tfplus_export.lowering.kernels.joining import join
from tfplus_export.lowering.kernels.zeros import zero_padded
from tfplus_export.tf_types import Op, Tensor

Tap = tuple[int, int]
Padding = Literal["SAME", "VALID"]


@dataclass(frozen=True)
class Axis:
    """One spatial axis of a window.

    Attributes:
      size: input extent.
      out: output extent.
      kernel: taps.
      stride: step between outputs, in inputs.
      dilation: step between taps, in inputs.
      before: zeros in front of the input.
    """

    size: int
    out: int
    kernel: int
    stride: int
    dilation: int
    before: int

    @property
    def rows(self) -> int:
        """Extent of each phase: as many rows as the last output needs."""
        needed = (self.out - 1) * self.stride + (self.kernel - 1) * self.dilation + 1
        return -(-needed // self.stride)

    @property
    def padded(self) -> int:
        """Extent after padding (or cropping) to whole phases."""
        return self.rows * self.stride

    @property
    def after(self) -> int:
        """Zeros behind the input; negative where the last inputs are never read."""
        return self.padded - self.before - self.size

    def phase(self, tap: int) -> int:
        """Which phase the tap reads."""
        return (tap * self.dilation) % self.stride

    def shift(self, tap: int) -> int:
        """Where in its phase the tap's slice starts."""
        return (tap * self.dilation) // self.stride

    def taps_of(self, phase: int) -> list[int]:
        """The taps that read a phase."""
        return [i for i in range(self.kernel) if self.phase(i) == phase]

    def valid(self, tap: int) -> list[bool]:
        """For each output, whether the tap reads a real input rather than padding."""
        starts = (r * self.stride + tap * self.dilation - self.before for r in range(self.out))
        return [0 <= s < self.size for s in starts]


@dataclass(frozen=True)
class Window:
    """A window over [N, H, W, C]: one `Axis` for H, one for W."""

    h: Axis
    w: Axis

    @property
    def taps(self) -> list[Tap]:
        """All taps in row-major order."""
        return [(i, j) for i in range(self.h.kernel) for j in range(self.w.kernel)]


def window_of(
    op: Op,
    kernel: Sequence[int],
    size: Sequence[int] | None = None,
    out: Sequence[int] | None = None,
) -> Window:
    """Reads the window of a convolution or pooling operation.

    Args:
      op: with attributes strides and padding, and dilations where it has them.
      kernel: (height, width).
      size: shape that the window slides over, [N, H, W, C]; None for that of the first input.
      out: shape that comes of it; None for that of the output.

    Raises:
      ExportError: the data are not NHWC, or the window steps over batch or channels.
    """
    if op.get_attr("data_format") != b"NHWC":
        raise ExportError("expected data_format channels_last (NHWC), got channels_first")
    names = {a for a in ("dilations", "explicit_paddings") if a in op.node_def.attr}
    strides = list(op.get_attr("strides"))
    dilations = list(op.get_attr("dilations")) if "dilations" in names else [1, 1, 1, 1]
    if strides[0] != 1 or strides[3] != 1 or dilations[0] != 1 or dilations[3] != 1:
        raise ExportError(f"expected strides over height and width alone, got {strides}")
    padding = op.get_attr("padding").decode()
    explicit = list(op.get_attr("explicit_paddings")) if "explicit_paddings" in names else []
    sizes: Sequence[int] = op.inputs[0].shape if size is None else size
    outs: Sequence[int] = op.outputs[0].shape if out is None else out
    axes: list[Axis] = []
    for axis, taps in zip((1, 2), kernel, strict=True):
        stride, dilation = strides[axis], dilations[axis]
        span = (taps - 1) * dilation + 1
        before = 0
        if padding == "SAME":
            before = max((outs[axis] - 1) * stride + span - sizes[axis], 0) // 2
        elif padding == "EXPLICIT":
            before = explicit[2 * axis]
        axes.append(Axis(sizes[axis], outs[axis], taps, stride, dilation, before))
    return Window(axes[0], axes[1])


def padding_of(window: Window) -> Padding | None:
    """Which of TensorFlow's paddings an operator must have for this window; None for neither."""
    axes = (window.h, window.w)
    if any(axis.dilation != 1 for axis in axes):
        return None
    if all(a.before == 0 and a.out == (a.size - a.kernel) // a.stride + 1 for a in axes):
        return "VALID"
    for axis in axes:
        missing = max((axis.out - 1) * axis.stride + axis.kernel - axis.size, 0)
        if axis.out != -(-axis.size // axis.stride) or axis.before != missing // 2:
            return None
    return "SAME"


def phases(x: Tensor, window: Window) -> dict[Tap, Tensor]:
    """Splits an input into its phases.

    Args:
      x: [N, H, W, C].
      window: its geometry.

    Returns:
      (row phase, column phase) → [N, window.h.rows, window.w.rows, C]; outside of the input it is
      zero. Phases that no tap reads are left out.
    """
    n, channels = x.shape[0], x.shape[3]
    h, w = window.h, window.w
    x = fit(x, 1, h.before, h.after)
    x = fit(x, 2, w.before, w.after)
    if h.stride * w.stride == 1:
        return {(0, 0): x}
    # A row is the lines of all phases, one behind the other; a pixel is the columns of all phases.
    x = tf.reshape(x, [n, h.rows, h.stride * w.rows, w.stride * channels])
    vertical, horizontal = ({a.phase(i) for i in range(a.kernel)} for a in (h, w))
    return {
        (a, b): tf.slice(x, [0, 0, a * w.rows, b * channels], [n, h.rows, w.rows, channels])
        for a in sorted(vertical)
        for b in sorted(horizontal)
    }


def merge(split: Mapping[Tap, Tensor], window: Window) -> Tensor:
    """Interleaves phases back to an input; the adjoint of `phases`.

    Args:
      split: as `phases` returns it; a phase that is left out counts as zero.
      window: its geometry.

    Returns:
      [N, H, W, C].
    """
    h, w = window.h, window.w
    some = next(iter(split.values()))
    n, channels = some.shape[0], some.shape[3]
    # A constant of zeros would be stored in the file at full size; a product is not.
    zero = None if len(split) == h.stride * w.stride else some * 0.0
    bands = [join([split.get((a, b), zero) for b in range(w.stride)], 3) for a in range(h.stride)]
    x = join(bands, 2)
    if h.stride * w.stride > 1:
        x = tf.reshape(x, [n, h.padded, w.padded, channels])
    x = fit(x, 1, -h.before, -h.after)
    return fit(x, 2, -w.before, -w.after)


def gather(split: Mapping[Tap, Tensor], window: Window, tap: Tap) -> Tensor:
    """What one tap reads for every output: [N, out height, out width, C]."""
    i, j = tap
    x = split[window.h.phase(i), window.w.phase(j)]
    size = [int(d) for d in x.shape]
    size[1:3] = window.h.out, window.w.out
    if size == list(x.shape):
        return x
    return tf.slice(x, [0, window.h.shift(i), window.w.shift(j), 0], size)


def scatter(taps: Mapping[Tap, Tensor], window: Window) -> Tensor:
    """Adds what each tap sends back to the input that it read; the adjoint of `gather`.

    Args:
      taps: tap → [N, out height, out width, C].
      window: its geometry.

    Returns:
      [N, H, W, C].
    """
    h, w = window.h, window.w
    split: dict[Tap, Tensor] = {}
    for (i, j), value in taps.items():
        up, left = h.shift(i), w.shift(j)
        value = fit(value, 1, up, h.rows - h.out - up)
        value = fit(value, 2, left, w.rows - w.out - left)
        key = (h.phase(i), w.phase(j))
        split[key] = value if key not in split else split[key] + value
    return merge(split, window)


def crop(x: Tensor, axis: int, start: int, size: int) -> Tensor:
    """Takes `size` entries from `start` along one axis."""
    if start == 0 and size == x.shape[axis]:
        return x
    begin = [0] * len(x.shape)
    extent = [int(d) for d in x.shape]
    begin[axis], extent[axis] = start, size
    return tf.slice(x, begin, extent)


def fit(x: Tensor, axis: int, before: int, after: int) -> Tensor:
    """Pads with zeros; a negative amount crops."""
    if before < 0 or after < 0:
        start = max(-before, 0)
        x = crop(x, axis, start, x.shape[axis] - start - max(-after, 0))
    if before > 0 or after > 0:
        padding = [[0, 0]] * len(x.shape)
        padding[axis] = [max(before, 0), max(after, 0)]
        x = zero_padded(x, padding)
    return x
