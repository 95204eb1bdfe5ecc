"""What of a tile's maps lies beyond the image's border, as arrays of zeros and ones."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tfplus.tiles.group import GroupTile, whole

# What a maximum never takes: float32 and below any activation.
BEYOND = 3.0e38


def masked(tile: GroupTile) -> tuple[int, ...]:
    """The layers of a group in front of which a mask stands.

    What a layer without padding reads lies inside the image, or is masked later. What
    another group makes comes with zeros beyond the border; a maximum needs less than that.
    """
    return tuple(
        i
        for i, layer in enumerate(tile.layers)
        if layer.pads and (layer.kind == "maximum" or max(tile.read(i)) > 0)
    )


def name(layer: int) -> str:
    """What the mask in front of a layer of the group is called among the inputs of a tile."""
    return f"mask_{layer}"


def of(tile: GroupTile) -> dict[str, npt.NDArray[np.float32]]:
    """The masks of a tile by name, each float32 [1, rows, columns, 1]: 1 inside the image."""
    found: dict[str, npt.NDArray[np.float32]] = {}
    for i in masked(tile):
        layer, region = tile.layers[i], tile.needs[i][0]
        inside = region.meet(whole(layer.rows.inputs, layer.columns.inputs))
        mask = np.zeros((1, *region.shape, 1), np.float32)
        mask[inside.within(region)] = 1
        found[name(i)] = mask
    return found
