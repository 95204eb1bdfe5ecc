"""Images shifted by rows and columns, in copies without gaps.

Row by row an image is one line of pixels, and shifted by rows and columns it is a piece of that
line: one SLICE, which copies without gaps. What leaves a row at its right edge comes in at the left
edge of the next, so that whoever reads a shifted image multiplies those columns by zero.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cached_property

import numpy as np
import tensorflow as tf

from tfplus_export.lowering.kernels.window import Axis, Tap, Window, fit
from tfplus_export.tf_types import Tensor

Shift = tuple[int, int]


class Grid:
    """A window over phases that are padded as little as can be, and as wide as the output.

    Output (r, c) reads, for each tap, entry (r + down, c + right) of the tap's phase.

    Attributes:
      window: what it is of.
      cells: the window whose phases those are.
      pitch: columns of a phase, and of an output before it is cropped.
      taps: phase → tap → (down, right).
    """

    def __init__(self, window: Window) -> None:
        self.window = window
        self.pitch = max(_extent(window.w), window.w.out)
        self.cells = Window(_cells(window.h, _extent(window.h)), _cells(window.w, self.pitch))
        self.taps: dict[Tap, dict[Tap, Shift]] = {}
        for i, j in window.taps:
            phase = window.h.phase(i), window.w.phase(j)
            self.taps.setdefault(phase, {})[i, j] = _shift(window.h, i), _shift(window.w, j)

    @cached_property
    def reads(self) -> np.ndarray:
        """Whether a tap reads, for an output's column, the same row: [taps, pitch] of 0 and 1."""
        columns = np.arange(self.pitch)
        rights = np.array([[_shift(self.window.w, j)] for _, j in self.window.taps])
        inside = (columns + rights >= 0) & (columns + rights < self.pitch)
        return np.where(inside & (columns < self.window.w.out), 1.0, 0.0)

    @cached_property
    def is_read(self) -> np.ndarray:
        """Whether an output of the same row reads a phase's column by a tap: [taps, pitch]."""
        columns = np.arange(self.pitch)
        rights = np.array([[_shift(self.window.w, j)] for _, j in self.window.taps])
        return np.where((columns - rights >= 0) & (columns - rights < self.window.w.out), 1.0, 0.0)


def shifted(
    image: Tensor, shifts: Collection[Shift], rows: int, *, margin: int = 0
) -> dict[Shift, Tensor]:
    """An image shifted up and to the left.

    Args:
      image: [N, H, W, C].
      shifts: (down, right): entry (r, c) becomes what was in (r + down, c + right). Rows outside of
        the image are zero; columns outside are of the row before or behind.
      rows: how many rows to keep.
      margin: rows of zeros that are put above and not needed.

    Returns:
      Shift → [N, rows, W, C].
    """
    n, height, width, channels = (int(d) for d in image.shape)
    places = {(down, right): down * width + right for down, right in shifts}
    above = -(-max(0, -min(places.values())) // width) + margin
    below = -(-max(0, max(places.values()) + (rows - height) * width) // width)
    padded = fit(image, 1, above, below)
    line = tf.reshape(padded, [n, (above + height + below) * width * channels])

    def cut(place: int) -> Tensor:
        if place == 0 and rows == height:
            return image
        begin, length = (above * width + place) * channels, rows * width * channels
        return tf.reshape(tf.slice(line, [0, begin], [n, length]), [n, rows, width, channels])

    return {shift: cut(place) for shift, place in sorted(places.items())}


def _extent(axis: Axis) -> int:
    return -(-(axis.before % axis.stride + axis.size) // axis.stride)


def _cells(axis: Axis, extent: int) -> Axis:
    """The axis cut into pieces of a stride's length, with as few zeros in front as can be."""
    kernel = min(axis.kernel, axis.stride)
    return Axis(axis.size, extent, kernel, axis.stride, 1, axis.before % axis.stride)


def _shift(axis: Axis, tap: int) -> int:
    return axis.shift(tap) - axis.before // axis.stride
