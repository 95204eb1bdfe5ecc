"""A model with branches, cut in two: the layers that all classes share, and the branches."""

from __future__ import annotations

from typing import Any, NamedTuple

import keras

from tfplus.errors import UsageError

_TASK = "task_"


class Halves(NamedTuple):
    """Both halves; they have the layers of the whole, not copies.

    Attributes:
      shared: from the whole's input to what branches read.
      branches: from there to the whole's output.
      layer: name of the last shared layer.
    """

    shared: keras.Model
    branches: keras.Model
    layer: str


def halves(model: keras.Model) -> Halves:
    """Cuts a model where its branches begin.

    Args:
      model: functional or sequential, with layers named task_<class>_<layer>.

    Raises:
      UsageError: it has no branches, several inputs, or branches that read several tensors.
    """
    functional: Any = keras.Model(model.inputs, model.outputs, name=model.name)
    nodes = [node for depth in functional._nodes_by_depth.values() for node in depth]
    read = {
        id(tensor): tensor
        for node in nodes
        if node.operation.name.startswith(_TASK)
        for tensor in node.input_tensors
        if not tensor._keras_history.operation.name.startswith(_TASK)
    }
    if not read:
        raise UsageError(
            f"--cached: model '{model.name}' has no branches of classes, layers named "
            "task_<class>_<layer>: expected a plan of `tfplus decouple`, or a model like zoo:digits"
        )
    names = sorted(t._keras_history.operation.name for t in read.values())
    if len(read) > 1 or len(model.inputs) > 1:
        raise UsageError(
            f"--cached: model '{model.name}' has {len(model.inputs)} inputs, and its branches read "
            f"the outputs of {', '.join(names)}: expected one input, and one tensor that all "
            "branches read"
        )
    (cut,) = read.values()
    if cut is model.inputs[0]:
        raise UsageError(
            f"--cached: model '{model.name}' shares no layers in front of its branches: export it "
            "without"
        )
    shared = keras.Model(model.inputs[0], cut, name=f"{model.name}_shared")
    return Halves(shared, keras.Model(cut, model.outputs[0], name=model.name), names[0])
