"""Convolutions and poolings by their definition, and tiles computed with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tfplus.tiles.geometry import Rectangle
from tfplus.tiles.grid import Tiling
from tfplus.tiles.group import GroupTile, whole
from tfplus.tiles.layers import Chain, TiledLayer, Window

Array = np.ndarray


def convolution(
    name: str, side: tuple[int, int], channels: tuple[int, int], kernel: int = 3, stride: int = 1,
    dilation: int = 1, same: bool = True,
) -> TiledLayer:  # fmt: skip
    rows, columns = (Window.of(n, kernel, stride, dilation, same=same) for n in side)
    numbers = kernel * kernel * channels[0] * channels[1]
    return TiledLayer(name, "convolution", rows, columns, *channels, numbers, numbers)


def pooling(
    name: str, side: tuple[int, int], channels: int, size: int = 2, stride: int = 2,
    same: bool = False,
) -> TiledLayer:  # fmt: skip
    rows, columns = (Window.of(n, size, stride, 1, same=same) for n in side)
    return TiledLayer(name, "maximum", rows, columns, channels, channels)


def side(layer: TiledLayer) -> tuple[int, int]:
    return layer.rows.outputs, layer.columns.outputs


def six_layers(rows: int = 11, columns: int = 13) -> Chain:
    """Strides of 1 and 2, a dilated and a 5×5 kernel, padding same and valid, two poolings."""
    a = convolution("a", (rows, columns), (2, 3))
    b = convolution("b", side(a), (3, 3), kernel=5, stride=2)
    c = pooling("c", side(b), 3, size=3, stride=1, same=True)
    d = convolution("d", side(c), (3, 2), dilation=2)
    e = convolution("e", side(d), (2, 3), kernel=2, same=False)
    f = pooling("f", side(e), 3)
    return Chain("six", (a, b, c, d, e, f), "", 7, 7)


@dataclass
class Pass:
    """A forward pass through fused layers, and what its backward pass needs."""

    inputs: list[Array]
    masks: list[Array]


def kernel_of(layer: TiledLayer, weights: Mapping[str, Array]) -> Array:
    return weights[layer.name]


def weights_of(chain: Chain, rng: np.random.Generator) -> dict[str, Array]:
    found: dict[str, Array] = {}
    for layer in chain.layers:
        if layer.kind == "convolution":
            taps = round((layer.parameters / layer.channels_in / layer.channels_out) ** 0.5)
            shape = (taps, taps, layer.channels_in, layer.channels_out)
            found[layer.name] = rng.standard_normal(shape).astype(np.float32)
    return found


class TileReference:
    """`machine.Compute` by definition, in double precision; the tail is half the sum of squares.

    Every output pixel is computed from the pixels that its window holds inside the image, whoever
    asks: what lies beyond the border is never looked at.
    """

    def __init__(self, part: Sequence[GroupTile], weights: Mapping[str, Array]) -> None:
        self.part, self.weights = part, weights

    def forward(self, group: int, fetched: Sequence[Array], moments=None) -> Array:
        return self._run(group, *fetched)[-1].astype(np.float32)

    def backward(self, group: int, fetched: Sequence[Array], delta: Array, moments=None):
        tile, maps = self.part[group], self._run(group, *fetched)
        dy, gradients = delta.astype(np.float64), {}
        for i in reversed(range(len(tile.layers))):
            layer = tile.layers[i]
            dx = np.zeros_like(maps[i])
            grad = np.zeros_like(self.weights[layer.name], np.float64) if (
                layer.kind == "convolution") else None  # fmt: skip
            for out, taps in windows(layer, self._inside(tile, i + 1), self._inside(tile, i)):
                back_pixel(layer, maps[i], dx, dy, out, taps, self.weights, grad)
            if grad is not None:
                gradients[layer.name] = grad.astype(np.float32)
            dy = dx
        return ([dy.astype(np.float32)] if group else None), gradients, None

    def tail(self, output: Array, targets: Mapping[str, Array]):
        gradient = np.zeros(1, np.float32) + output.sum()
        return {"loss": float((output**2).sum()) / 2}, output, {"tail": gradient}

    def _inside(self, tile: GroupTile, i: int) -> Rectangle:
        """The part of a region that is on the map."""
        layers = tile.layers
        window = (layers[i].rows, layers[i].columns) if i < len(layers) else None
        sizes = (
            (window[0].inputs, window[1].inputs)
            if window
            else (layers[-1].rows.outputs, layers[-1].columns.outputs)
        )
        return tile.region(i).meet(whole(*sizes))

    def _run(self, group: int, fetched: Array) -> list[Array]:
        tile = self.part[group]
        maps = [fetched.astype(np.float64)]
        for i, layer in enumerate(tile.layers):
            inside = self._inside(tile, i + 1)
            y = np.zeros((len(fetched), *inside.shape, layer.channels_out))
            for out, taps in windows(layer, inside, self._inside(tile, i)):
                y[:, out[0], out[1]] = pixel(layer, maps[-1], taps, self.weights)
            maps.append(y)
        return maps


def windows(layer: TiledLayer, made: Rectangle, read: Rectangle):
    """Places in the arrays of an output and of what it reads: (row, column), and its taps."""
    for r in range(made.rows.start, made.rows.stop):
        for c in range(made.columns.start, made.columns.stop):
            taps = []
            for i, y in _reach(layer.rows, r, _kernel(layer, layer.rows)):
                for j, x in _reach(layer.columns, c, _kernel(layer, layer.columns)):
                    assert read.rows.start <= y < read.rows.stop, "a row that was not fetched"
                    assert read.columns.start <= x < read.columns.stop, "a column likewise"
                    taps.append((i, j, y - read.rows.start, x - read.columns.start))
            yield (r - made.rows.start, c - made.columns.start), taps


def _kernel(layer: TiledLayer, window: Window) -> int:
    if layer.kind != "convolution":
        return window.size
    return round((layer.parameters / layer.channels_in / layer.channels_out) ** 0.5)


def _reach(window: Window, out: int, kernel: int):
    dilation = 1 if kernel == 1 else (window.size - 1) // (kernel - 1)
    for tap in range(kernel):
        at = out * window.stride - window.before + tap * dilation
        if 0 <= at < window.inputs:
            yield tap, at


def pixel(layer: TiledLayer, x: Array, taps, weights: Mapping[str, Array]) -> Array:
    values = [(i, j, x[:, r, c]) for i, j, r, c in taps]
    if layer.kind == "maximum":
        return np.max([v for _, _, v in values], axis=0)
    kernel = weights[layer.name].astype(np.float64)
    return np.tanh(sum(v @ kernel[i, j] for i, j, v in values))


def back_pixel(layer, x, dx, dy, out, taps, weights, grad) -> None:
    delta = dy[:, out[0], out[1]]
    if layer.kind == "maximum":
        values = np.array([x[:, r, c] for _, _, r, c in taps])
        first = values.argmax(axis=0)
        for k, (_, _, r, c) in enumerate(taps):
            dx[:, r, c] += delta * (first == k)
        return
    kernel = weights[layer.name].astype(np.float64)
    y = pixel(layer, x, taps, weights)
    delta = delta * (1 - y * y)
    for i, j, r, c in taps:
        dx[:, r, c] += delta @ kernel[i, j].T
        grad[i, j] += x[:, r, c].T @ delta


def trained(tiling: Tiling, weights: Mapping[str, Array]) -> tuple[dict[str, tuple[int, ...]], ...]:
    """Shapes by group, as a place has them; the tail has one number."""
    layers = tiling.chain.layers
    groups = [[x.name for x in layers[a:b] if x.name in weights] for a, b in tiling.groups]
    return (*({n: weights[n].shape for n in names} for names in groups), {"tail": (1,)})


def parts(tiling: Tiling, weights: Mapping[str, Array]) -> list[TileReference]:
    return [TileReference(tiling.part(d), weights) for d in range(tiling.grid.tiles)]
