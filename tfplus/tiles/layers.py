"""The layers in front of a network as plain data: what tiles are cut by, without TensorFlow."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from tfplus.errors import UsageError
from tfplus.system import checked_json

Kind = Literal["convolution", "depthwise", "maximum", "average", "elementwise", "normalization",
               "addition"]  # fmt: skip
KINDS: tuple[Kind, ...] = get_args(Kind)
# Rows, channels: of what a plan may say.
_MOST = 2**20


@dataclass(frozen=True)
class Window:
    """What an output row reads along one axis: rows o·stride − before up to a span of `size`.

    Attributes:
      size: rows that a window reaches over, (kernel − 1)·dilation + 1.
      stride: rows from one window to the next.
      before: rows of padding in front of the map, as TensorFlow places them.
      inputs: rows of the map that is read.
      outputs: rows of the map that is made.
    """

    size: int
    stride: int
    before: int
    inputs: int
    outputs: int

    @classmethod
    def of(cls, inputs: int, kernel: int, stride: int, dilation: int, *, same: bool) -> Window:
        """The window of a layer, with TensorFlow's padding, which gives the end the odd row.

        Args:
          inputs: rows of its input.
          kernel: taps.
          stride: between windows.
          dilation: between taps.
          same: padding `same`, else `valid`.

        Raises:
          UsageError: the input is smaller than the window.
        """
        size = (kernel - 1) * dilation + 1
        if same:
            outputs = -(-inputs // stride)
            return cls(size, stride, max((outputs - 1) * stride + size - inputs, 0) // 2, inputs,
                       outputs)  # fmt: skip
        if inputs < size:
            raise UsageError(f"a window of {size} rows does not fit a map of {inputs}")
        return cls(size, stride, 0, inputs, (inputs - size) // stride + 1)

    @property
    def pads(self) -> bool:
        """Whether a window reaches beyond the map."""
        return self.before > 0 or (self.outputs - 1) * self.stride - self.before + self.size > (
            self.inputs
        )


@dataclass(frozen=True)
class TiledLayer:
    """A layer that can be computed tile by tile.

    Attributes:
      name: in the Keras model.
      kind: what it does.
      rows: its window along the height.
      columns: its window along the width.
      channels_in: of the map that it reads.
      channels_out: of the map that it makes.
      macs_per_pixel: multiplications and additions for one output pixel of one sample.
      parameters: trained numbers.
      activated: whether it has an activation of its own behind its products.
      back: which maps it reads, counted back from its own: 1 is the map in front of it. Several
        for an addition, whose maps are of one shape.
    """

    name: str
    kind: Kind
    rows: Window
    columns: Window
    channels_in: int
    channels_out: int
    macs_per_pixel: int = 0
    parameters: int = 0
    activated: bool = False
    back: tuple[int, ...] = (1,)

    @property
    def pads(self) -> bool:
        """Whether it reads beyond its input's border, so that what lies there must be masked."""
        return self.rows.pads or self.columns.pads


@dataclass(frozen=True)
class Chain:
    """The layers from a network's input on that tiles can be made of, in order.

    Attributes:
      model: what the user calls it.
      layers: at least one.
      stopped_by: why the next layer is not among them; empty where none follows.
      tail_parameters: trained numbers of the rest of the network.
      tail_macs: multiplications and additions of the rest for one sample.
    """

    model: str
    layers: tuple[TiledLayer, ...]
    stopped_by: str = ""
    tail_parameters: int = 0
    tail_macs: int = 0

    def first(self, count: int) -> Chain:
        """The chain that ends behind so many layers.

        Raises:
          UsageError: it has not so many.
        """
        if not 1 <= count <= len(self.layers):
            raise UsageError(
                f"--layers {count}: expected 1 to {len(self.layers)}; {self.stopped_by}"
            )
        read = {i + 1 - b for i, x in enumerate(self.layers) if i >= count for b in x.back}
        if any(m < count for m in read):
            raise UsageError(
                f"--layers {count}: a layer behind '{self.layers[count - 1].name}' reads another "
                "map, too, as a sum of branches does: end the tiles in front of the branches, or "
                "behind their sum"
            )
        cut = self.layers[count:]
        return dataclasses.replace(
            self,
            layers=self.layers[:count],
            stopped_by=f"layer '{cut[0].name}' was left out" if cut else self.stopped_by,
            tail_parameters=self.tail_parameters + sum(layer.parameters for layer in cut),
            tail_macs=self.tail_macs
            + sum(x.macs_per_pixel * x.rows.outputs * x.columns.outputs for x in cut),
        )

    @property
    def normalized(self) -> bool:
        """Whether statistics of the whole batch are among what devices exchange."""
        return any(layer.kind == "normalization" for layer in self.layers)

    @property
    def parameters(self) -> int:
        """Trained numbers of the tiled layers."""
        return sum(layer.parameters for layer in self.layers)

    def maps(self) -> tuple[tuple[int, int, int], ...]:
        """(rows, columns, channels) of the input and behind each layer."""
        first = self.layers[0]
        made = [(x.rows.outputs, x.columns.outputs, x.channels_out) for x in self.layers]
        return ((first.rows.inputs, first.columns.inputs, first.channels_in), *made)

    def plain(self) -> dict[str, Any]:
        """As JSON takes it; `from_plain` reads it back."""
        return dataclasses.asdict(self)


class PlanFields(checked_json.Fields):
    """Fields of a plan of tiles."""

    error = UsageError
    document = "plan of tiles"


def from_plain(fields: PlanFields) -> Chain:
    """Reads what `Chain.plain` wrote.

    Raises:
      UsageError: it is no such chain, or its layers do not fit each other.
    """
    chain = Chain(
        fields.text("model"),
        tuple(_layer(each) for each in fields.objects("layers")),
        fields.text("stopped_by"),
        fields.integer("tail_parameters"),
        fields.integer("tail_macs"),
    )
    check(chain.layers)
    return chain


def _layer(fields: PlanFields) -> TiledLayer:
    kind = fields.choice("kind", KINDS)
    return TiledLayer(
        fields.text("name"),
        next(known for known in KINDS if known == kind),
        _window(fields.object("rows")),
        _window(fields.object("columns")),
        fields.integer("channels_in", 1, _MOST),
        fields.integer("channels_out", 1, _MOST),
        fields.integer("macs_per_pixel"),
        fields.integer("parameters"),
        "activated" in fields and fields.boolean("activated"),
        fields.integers("back", 1) if "back" in fields else (1,),
    )


def _window(fields: PlanFields) -> Window:
    size, stride, inputs, outputs = (
        fields.integer(name, 1, _MOST) for name in ("size", "stride", "inputs", "outputs")
    )
    return Window(size, stride, fields.integer("before", 0, _MOST), inputs, outputs)


def check(layers: Sequence[TiledLayer]) -> None:
    """Refuses layers that do not follow each other.

    Raises:
      UsageError: there are none, or a map that one reads is not there, or of another shape.
    """
    if not layers:
        raise UsageError("a chain of layers: expected at least one, got none")
    for i, layer in enumerate(layers):
        if not layer.back or max(layer.back) > i + 1 or (
            layer.kind != "addition" and len(layer.back) > 1):  # fmt: skip
            raise UsageError(f"layer '{layer.name}' reads maps {list(layer.back)} before its own")
        read = layer.rows.inputs, layer.columns.inputs, layer.channels_in
        for before in (layers[i - back] for back in layer.back if back <= i):
            made = before.rows.outputs, before.columns.outputs, before.channels_out
            if made != read:
                raise UsageError(f"layer '{layer.name}' reads {read}, '{before.name}' makes {made}")
