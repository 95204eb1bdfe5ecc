"""From a Keras model and a tiling to one file for each shape of tile."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from tfplus.errors import ExportError, UsageError
from tfplus.tiles.grid import Tiling
from tfplus.tiles.step.files import TileFiles
from tfplus_export.conversion import convert, flatbuffer
from tfplus_export.losses.compiled import OutputLoss
from tfplus_export.optimizers import Optimizer
from tfplus_export.tiles import fused
from tfplus_export.tiles.chain import TiledModel
from tfplus_export.tiles.signatures import TileModule
from tfplus_export.tracing import model_io
from tfplus_export.tracing.naming import variable_names
from tfplus_export.train_step import training
from tfplus_export.train_step.variables import Weight


def modules(
    tiled: TiledModel,
    tiling: Tiling,
    optimizer: Optimizer,
    losses: Mapping[str, OutputLoss],
    batch: int,
) -> tuple[list[TileModule], tuple[int, ...], training.Training, tuple[Weight, ...]]:
    """Traces and lowers the tiles, one module for each shape of tile, converting nothing yet.

    Args:
      tiled: the model and its tiled layers.
      tiling: of the same layers.
      optimizer: applied on every device.
      losses: name of the output → its loss.
      batch: samples of a step.

    Returns:
      The modules; by device, which of them is its own; the rest of the network; all weights.

    Raises:
      ExportError: an operation has no rule, nothing trains, or the rest of the network draws noise
        or changes variables.
    """
    rest = tiled.tail()
    (output,) = losses.values()
    (output_name,) = model_io.outputs(rest)
    tail = training.build(
        rest, optimizer, losses={output_name: output}, batch_size=batch, infer_batch_size=1
    )
    _check_tail(tail)
    keys: dict[object, int] = {}
    built: list[TileModule] = []
    of_device: list[int] = []
    found: tuple[Weight, ...] = ()
    for device in range(tiling.grid.tiles):
        part = tiling.part(device)
        key = tuple(tile.shape_key for tile in part)
        if key not in keys:
            keys[key] = len(built)
            tiles = tuple(
                fused.build(tiled.layers[start:stop], tile, batch)
                for (start, stop), tile in zip(tiling.groups, part, strict=True)
            )
            front = tuple(w for tile in tiles for w in tile.weights)
            found = (*front, *tail.weights)
            if not any(w.trainable for w in found):
                raise ExportError("the model has no trainable weight")
            module = TileModule(tiles, tail, optimizer, found, keep=tiling.keep, free=tiling.free)
            built.append(module)
        of_device.append(keys[key])
    return built, tuple(of_device), tail, found


def export(
    tiled: TiledModel,
    tiling: Tiling,
    optimizer: Optimizer,
    losses: Mapping[str, OutputLoss],
    batch: int,
    progress: Callable[[str], None],
) -> TileFiles:
    """Converts the tiles; see `modules` for arguments and errors.

    Raises:
      ExportError: see `modules`; or the converter needs an operator that is not builtin.
    """
    progress("lowering tiles")
    built, of_device, tail, weights = modules(tiled, tiling, optimizer, losses, batch)
    by_group = (*(tile.weights for tile in built[0].tiles), tail.weights)
    values = initial_values(tiled, weights, optimizer)
    contents: list[bytes] = []
    for number, module in enumerate(built, start=1):
        progress(f"converting tile shape {number} of {len(built)}")
        contents.append(_filled(convert.to_flatbuffer(module), module, values))
    taken = set(tail.train_graph.inputs)
    targets = {
        n: (info.shape, info.dtype) for n, info in tail.arguments().items() if n not in taken
    }
    trained = tuple({w.name: w.shape for w in group if w.trainable} for group in by_group)
    return TileFiles(
        tiling, batch, tuple(contents), of_device, values, trained, targets, tail.reported()
    )


def initial_values(
    tiled: TiledModel, weights: tuple[Weight, ...], optimizer: Optimizer
) -> dict[str, np.ndarray]:
    """The model's weights by slice name, and the optimizer's initial state."""
    names = variable_names(tiled.model)
    values = {names[id(v)]: np.array(v.numpy(), np.float32) for v in tiled.model.variables}
    missing = [w.name for w in weights if w.name not in values]
    if missing:
        raise UsageError(f"weight '{missing[0]}' is none of the model's: expected unique names")
    trained = {w.name: w.shape for w in weights if w.trainable}
    return {w.name: values[w.name] for w in weights} | dict(optimizer.state(trained))


def _filled(content: bytes, module: TileModule, values: Mapping[str, np.ndarray]) -> bytes:
    flex = flatbuffer.flex_operators(flatbuffer.operators(content))
    if flex:
        raise ExportError(f"the tiles need {', '.join(flex)}, which are not builtin")
    filled = bytearray(content)
    offsets = flatbuffer.variable_offsets(content, module.shapes)
    for name, offset in zip(module.names, offsets, strict=True):
        raw = np.ascontiguousarray(values[name], "<f4").tobytes()
        filled[offset : offset + len(raw)] = raw
    return bytes(filled)


def _check_tail(tail: training.Training) -> None:
    graph = tail.train_graph
    if tail.draws_noise:
        raise ExportError(
            "the layers behind the tiles draw noise, such as a dropout: tiles train without; "
            "take it out"
        )
    changed = [w.name for w in tail.weights if not w.trainable]
    if changed:
        raise ExportError(
            f"the step changes '{changed[0]}' beside the gradients, as a batch normalization "
            "does: tiles train none; freeze that layer, or take it out"
        )
    if graph.regularized or any(w.regularizer or w.constraint for w in tail.weights):
        raise ExportError("the layers behind the tiles have regularizers or constraints: tiles "
                          "train none; take them out")  # fmt: skip
