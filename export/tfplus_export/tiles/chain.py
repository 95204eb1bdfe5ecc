"""Which of a Keras model's first layers can be computed tile by tile, and why the next cannot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import keras
from keras import layers as keras_layers

from tfplus.errors import UsageError
from tfplus.tiles import graph
from tfplus.tiles.layers import Chain, Kind, TiledLayer, Window
from tfplus_export.tiles import order

_ELEMENTWISE = (
    keras_layers.Activation,
    keras_layers.ELU,
    keras_layers.LeakyReLU,
    keras_layers.ReLU,
)
_ADVICE = {
    keras_layers.BatchNormalization: "no layer in front of it makes its map",
    keras_layers.Dropout: "its noise would have to be that of the whole map",
    keras_layers.GlobalAveragePooling2D: "it reads the whole map",
    keras_layers.GlobalMaxPooling2D: "it reads the whole map",
    keras_layers.Flatten: "what follows reads the whole map",
}


@dataclass(frozen=True)
class TiledModel:
    """A Keras model with the layers that its tiles are made of.

    Attributes:
      model: the whole.
      layers: Keras layers, one for each of the chain's.
      cut: the tensor behind the last of them, which the rest of the network reads.
      chain: what is known of them.
    """

    model: keras.Model
    layers: tuple[Any, ...]
    cut: Any
    chain: Chain

    def tail(self) -> keras.Model:
        """The rest of the network, from the last tiled map on; its layers are the model's own."""
        return keras.Model(self.cut, self.model.outputs[0], name=f"{self.model.name}_tail")


def read(model: keras.Model, name: str, count: int | None = None) -> TiledModel:
    """Follows a model from its input as far as it can be tiled.

    Args:
      model: functional or sequential, with one input and one output.
      name: what the user calls it.
      count: tiled layers; None for as many as can be.

    Raises:
      UsageError: not even the first layer can be tiled, or fewer than `count`; or the whole model
        can, so that nothing reads the last map.
    """
    if len(model.inputs) != 1 or len(model.outputs) != 1 or len(model.inputs[0].shape) != 4:
        shapes = [tuple(x.shape) for x in model.inputs]
        raise UsageError(
            f"{name}: expected one input of images [rows, columns, channels] and one output, got "
            f"inputs of {shapes} and {len(model.outputs)} outputs"
        )
    # A sequential model has its nodes only as a functional one.
    whole: Any = keras.Model(model.inputs, model.outputs, name=model.name)
    found: list[TiledLayer] = []
    taken: list[Any] = []
    # The samples, and what each layer makes.
    maps: list[Any] = [whole.inputs[0]]
    reason = ""
    for layer, tensors, made in order.operations(whole):
        places = [next(i for i, m in enumerate(maps) if m is t) for t in tensors]
        back = tuple(len(maps) - place for place in places)
        described = _described(layer, tensors, back, of_samples=0 in places)
        if isinstance(described, str):
            reason = described
        elif any(layer is other for other in taken):
            reason = f"layer '{layer.name}' is used twice"
        elif made is whole.outputs[0]:
            reason = f"layer '{layer.name}' is the last of the model"
        if reason:
            break
        found.append(cast("TiledLayer", described))
        taken.append(layer)
        maps.append(made)
    tiled = _closed(whole, found, maps)
    if tiled < len(found) or not found:
        open_ = order.readers(whole, maps[tiled])
        if open_ > 1:
            reason = (
                f"the map behind {_last(taken[:tiled])} is read by {open_} layers, and the sum of "
                f"what they make is not reached: {reason}"
            )
        found, taken, maps = found[:tiled], taken[:tiled], maps[: tiled + 1]
    if not found:
        raise UsageError(f"{name}: no layer can be tiled: {reason}")
    rest = [x for x in whole.layers if not any(x is other for other in taken)]
    chain = Chain(name, tuple(found), reason, sum(map(_trained, rest)), sum(map(_macs, rest)))
    chain = chain if count is None else chain.first(count)
    used = len(chain.layers)
    return TiledModel(whole, tuple(taken[:used]), maps[used], chain)


def _closed(model: Any, found: list[TiledLayer], maps: list[Any]) -> int:
    """The most layers behind which one map alone goes on, and which can be tiled.

    A normalization of the batch begins a group, and no group can end within branches that begin
    with the samples.
    """
    readers = [order.readers(model, each) for each in maps]
    for count in range(len(found), 0, -1):
        layers = found[:count]
        inside = Counter(m for i in range(count) for m in set(graph.read(layers, i)))
        closed = all(inside[m] == readers[m] for m in range(count))
        starts = [i for i, x in enumerate(layers) if x.kind == "normalization"]
        if closed and not any(0 in graph.crossing(layers, i) for i in starts):
            return count
    return 0


def _last(taken: list[Any]) -> str:
    return f"layer '{taken[-1].name}'" if taken else "the input"


def _described(
    layer: Any, tensors: Sequence[Any], back: tuple[int, ...], *, of_samples: bool
) -> TiledLayer | str:
    """What tiles are cut by, or why they cannot be; for `back` see `TiledLayer`."""
    kind, tensor = _kind(layer), tensors[0]
    if kind == "normalization" and of_samples:
        # Nobody owns the pixels of the samples: each device is sent what it reads of them.
        kind = None
    if kind == "normalization" and int(layer.axis) not in (-1, 3):
        return f"layer '{layer.name}' (BatchNormalization): expected the axis -1, got {layer.axis}"
    title = f"layer '{layer.name}' ({type(layer).__name__})"
    if kind is None:
        why = next((text for type_, text in _ADVICE.items() if isinstance(layer, type_)), "")
        return f"{title} cannot be tiled{f': {why}' if why else ''}"
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        return f"{title}: expected channels_last"
    if getattr(layer, "activation", None) is keras.activations.softmax:
        return f"{title}: a softmax mixes channels of the whole output, and is left to the rest"
    for attribute in ("activity_regularizer", "kernel_regularizer", "bias_regularizer",
                      "kernel_constraint", "bias_constraint", "depthwise_regularizer",
                      "pointwise_regularizer",
        "gamma_regularizer",
        "beta_regularizer",
        "gamma_constraint",
        "beta_constraint"):  # fmt: skip
        if getattr(layer, attribute, None) is not None:
            return f"{title} has a {attribute}, which tiles do not support"
    _, height, width, channels = (int(d) if d is not None else 0 for d in tensor.shape)
    if not (height and width):
        return f"{title}: expected an input of fixed size, got {tuple(tensor.shape)}"
    if any(t.shape != tensor.shape for t in tensors):
        return f"{title} adds up maps of different shapes"
    if kind in ("elementwise", "normalization", "addition"):
        rows, columns = (Window.of(n, 1, 1, 1, same=False) for n in (height, width))
        made = _trained(layer)
        return TiledLayer(layer.name, kind, rows, columns, channels, channels, 0, made,
                          back=back)  # fmt: skip
    kernel = layer.pool_size if kind in ("maximum", "average") else layer.kernel_size
    dilation = getattr(layer, "dilation_rate", (1, 1))
    same = layer.padding == "same"
    try:
        rows, columns = (
            Window.of(n, k, s, d, same=same)
            for n, k, s, d in zip(
                (height, width), kernel, _pair(layer.strides), dilation, strict=True
            )
        )
    except UsageError as error:
        return f"{title}: {error}"
    made = int(layer.compute_output_shape(tensor.shape)[-1])
    if kind == "average" and (rows.pads or columns.pads):
        return f"{title}: a mean over padding counts other pixels at the border than inside"
    # Of a kernel [rows, columns, in, out] every number is used once for each output pixel.
    kernels = [w for w in layer.weights if len(w.shape) > 1]
    macs = sum(w.shape.num_elements() if hasattr(w.shape, "num_elements") else _size(w.shape)
               for w in kernels)  # fmt: skip
    activated = getattr(layer, "activation", None) not in (None, keras.activations.linear)
    return TiledLayer(
        layer.name, kind, rows, columns, channels, made, macs, _trained(layer), activated, back
    )  # fmt: skip


def _kind(layer: Any) -> Kind | None:
    if isinstance(layer, keras_layers.DepthwiseConv2D):
        return "depthwise"
    if type(layer) in (keras_layers.Conv2D, keras_layers.SeparableConv2D):
        return "convolution"
    if isinstance(layer, keras_layers.MaxPooling2D):
        return "maximum"
    if isinstance(layer, keras_layers.AveragePooling2D):
        return "average"
    if type(layer) is keras_layers.BatchNormalization:
        # Frozen, it runs on its moving averages, in training too.
        return "normalization" if layer.trainable else "elementwise"
    if type(layer) is keras_layers.Add:
        return "addition"
    if isinstance(layer, _ELEMENTWISE):
        return "elementwise"
    return None


def _pair(strides: Any) -> tuple[int, int]:
    return (strides, strides) if isinstance(strides, int) else tuple(strides)


def _size(shape: Any) -> int:
    size = 1
    for extent in shape:
        size *= int(extent)
    return size


def _trained(layer: Any) -> int:
    return sum(_size(w.shape) for w in getattr(layer, "trainable_weights", ()))


def _macs(layer: Any) -> int:
    pixels = 1
    output = getattr(layer, "output", None)
    for extent in getattr(output, "shape", ())[1:-1]:
        pixels *= int(extent or 1)
    kernels = [w for w in getattr(layer, "weights", ()) if len(w.shape) > 1]
    return pixels * sum(_size(w.shape) for w in kernels)
