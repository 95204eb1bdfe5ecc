"""Recurrent layers as a chain of their steps, which has a gradient like any other graph.

A loop that runs on the device would need a gradient that runs backwards through it; TFLite has
neither. The number of time steps is known at export, so that Keras can be told to write every step
out.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Sequence
from typing import Any

import keras

from tfplus.errors import ExportError

# The graph, the file and the time that an export takes grow with the number of steps.
MOST_TIME_STEPS = 256


@contextlib.contextmanager
def unrolled(layers: Sequence[Any]) -> Generator[list[str]]:
    """While it is open, recurrent layers write out their steps; they are as before afterwards.

    Args:
      layers: a model's, of any kind.

    Yields:
      What kept a layer from it, in words; its call then raises an exception.

    Raises:
      ExportError: a layer keeps its state from one batch to the next.
    """
    recurrent = [layer for layer in layers if isinstance(layer, keras.layers.RNN)]
    for layer in recurrent:
        if layer.stateful:
            raise ExportError(
                f"layer '{layer.name}' is stateful: what one batch leaves would reach the next. "
                "Expected stateful=False"
            )
    complaints: list[str] = []
    before = [dict(vars(layer)) for layer in recurrent]
    for layer in recurrent:
        layer.inner_loop = _written_out(layer, layer.unroll, complaints)
        layer.unroll = True
        if hasattr(layer, "use_cudnn"):
            layer.use_cudnn = False
    try:
        yield complaints
    finally:
        for layer, kept in zip(recurrent, before, strict=True):
            layer.unroll = kept["unroll"]
            if "use_cudnn" in kept:
                layer.use_cudnn = kept["use_cudnn"]
            del layer.inner_loop


def _written_out(layer: Any, always: bool, complaints: list[str]) -> Callable[..., Any]:
    original = layer.inner_loop

    def inner_loop(sequences: Any, initial_state: Any, mask: Any, training: bool = False) -> Any:
        steps = sequences.shape[1]
        if steps > MOST_TIME_STEPS:
            complaints.append(
                f"layer '{layer.name}' runs over {steps} time steps, at most {MOST_TIME_STEPS} can "
                "be written out: expected shorter sequences, or a strided convolution or a pooling "
                "in front"
            )
            raise ValueError(complaints[-1])
        # Given with a state, it comes in a list.
        mask = next(iter(keras.tree.flatten(mask)), None)
        if mask is None or always or not (layer.go_backwards and layer.zero_output_for_mask):
            return original(sequences, initial_state, mask, training)
        # Backwards, Keras' loop zeroes the outputs of masked steps, but its written-out form those
        # of the steps opposite.
        layer.go_backwards = False
        try:
            sequences, mask = (keras.ops.flip(t, 1) for t in (sequences, mask))
            return original(sequences, initial_state, mask, training)
        finally:
            layer.go_backwards = True

    return inner_loop
