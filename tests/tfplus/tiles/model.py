"""The reference with an optimizer, as a device's model."""

from __future__ import annotations

import numpy as np

from tests.tfplus.tiles import reference
from tfplus.tiles.grid import Grid, Tiling
from tfplus.tiles.layers import Chain
from tfplus.tiles.step.assignment import Assignment
from tfplus.tiles.step.files import TileFiles

FIRST = reference.convolution("a", (4, 7), (2, 2))
CHAIN = Chain("small", (FIRST, reference.convolution("b", (4, 7), (2, 1))), "", 1)
BATCH, RATE, GROUPS = 2, 1e-3, ((0, 1), (1, 2))


class Model(reference.TileReference):
    """The tail takes labels, of which it makes nothing."""

    def __init__(self, content: bytes, given: Assignment) -> None:
        weights = {name: np.zeros(s, np.float32) for name, s in given.place.shapes.items()}
        super().__init__(given.place.tiling.part(given.place.device), weights)

    def update(self, gradients, moments) -> None:
        for name, gradient in gradients.items():
            self.weights[name] = self.weights[name] - RATE * gradient

    def save(self):
        return {name: value.copy() for name, value in self.weights.items()}

    def restore(self, tensors) -> None:
        self.weights = {name: np.array(value) for name, value in tensors.items()}


def files(devices: int) -> TileFiles:
    weights = reference.weights_of(CHAIN, np.random.default_rng(2)) | {
        "tail": np.zeros(1, np.float32)
    }
    tiling = Tiling(CHAIN, Grid.even(1, devices), GROUPS)
    shapes = reference.trained(tiling, weights)
    targets = {"y": ((BATCH,), "int32")}
    return TileFiles(tiling, BATCH, (b"x",), (0,) * devices, weights, shapes, targets, ("loss",))
