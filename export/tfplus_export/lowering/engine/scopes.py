"""Names of what the step computes: every operator's output says its phase and its Keras layer.

The converter keeps TensorFlow's names, so the file itself tells what each of its operators is for;
`tfplus.tflite.operator_names` reads them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import tensorflow as tf

from tfplus.tensors.slices import layer_of
from tfplus.tflite.operator_names import Phase, scope_of
from tfplus_export.tf_types import Tensor


def scope(phase: Phase, layer: str) -> Any:
    """A context in which operations are named after a phase and a layer.

    Args:
      phase: of the step.
      layer: the Keras layer's path, or the name of the operation where no layer made it.
    """
    # A name that ends in a slash is taken as it is; others would be numbered when they come again.
    return tf.name_scope(f"{scope_of(phase, layer)}/")


def each_update(gradients: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """Yields name and gradient of each weight; what is made meanwhile is its layer's update."""
    for name, gradient in gradients.items():
        with scope("update", layer_of(name)):
            yield name, gradient
