"""Windows against plain index arithmetic, over kernels, strides, dilations and paddings."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from tfplus_export.lowering.kernels.window import Axis, Window, gather, merge, phases, scatter


@st.composite
def axes(draw: st.DrawFn) -> Axis:
    kernel, stride, dilation = (draw(st.integers(1, 4)) for _ in range(3))
    before, after = draw(st.integers(0, 3)), draw(st.integers(0, 3))
    span = (kernel - 1) * dilation + 1
    size = draw(st.integers(max(1, span - before - after), 12))
    out = (size + before + after - span) // stride + 1
    return Axis(size, out, kernel, stride, dilation, before)


windows = st.builds(Window, axes(), axes())


def read(x: np.ndarray, window: Window, tap: tuple[int, int]) -> np.ndarray:
    """What a tap reads, one element after the other."""
    n, _, _, c = x.shape
    out = np.zeros((n, window.h.out, window.w.out, c), x.dtype)
    for r in range(window.h.out):
        for s in range(window.w.out):
            i = r * window.h.stride + tap[0] * window.h.dilation - window.h.before
            j = s * window.w.stride + tap[1] * window.w.dilation - window.w.before
            if 0 <= i < window.h.size and 0 <= j < window.w.size:
                out[:, r, s] = x[:, i, j]
    return out


@given(windows)
def test_each_tap_reads_what_the_window_covers(window: Window) -> None:
    x = np.random.default_rng(0).normal(size=(2, window.h.size, window.w.size, 3))
    split = phases(tf.constant(x), window)
    for tap in window.taps:
        np.testing.assert_array_equal(gather(split, window, tap), read(x, window, tap))


@given(windows)
def test_scatter_is_the_adjoint_of_gather(window: Window) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, window.h.size, window.w.size, 3))
    split = phases(tf.constant(x), window)
    sent = {tap: rng.normal(size=(2, window.h.out, window.w.out, 3)) for tap in window.taps}
    ahead = sum(float(np.sum(gather(split, window, t) * g)) for t, g in sent.items())
    back = scatter({t: tf.constant(g) for t, g in sent.items()}, window)
    assert back.shape == x.shape
    np.testing.assert_allclose(ahead, float(np.sum(x * back)), rtol=1e-9, atol=1e-9)


@given(windows)
def test_merging_all_phases_gives_back_what_the_window_reads(window: Window) -> None:
    x = np.random.default_rng(0).normal(size=(1, window.h.size, window.w.size, 2))
    read_rows = np.zeros(window.h.size, bool)
    for tap in range(window.h.kernel):
        for r, valid in enumerate(window.h.valid(tap)):
            if valid:
                read_rows[r * window.h.stride + tap * window.h.dilation - window.h.before] = True
    merged = merge(phases(tf.constant(x), window), window).numpy()
    seen = np.any(merged != 0, axis=(0, 2, 3))
    assert np.all(seen[read_rows]) or not np.any(merged)
    kept = merged != 0
    np.testing.assert_array_equal(merged[kept], x[kept])
