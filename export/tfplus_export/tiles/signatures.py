"""The graph of one shape of tile: weights in variables, a forward and a backward for each group."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from tfplus.model_file.manifest import TensorInfo
from tfplus.tiles import masks
from tfplus.tiles.step.files import input_name
from tfplus_export.lowering.engine.replay import replay
from tfplus_export.optimizers import Optimizer
from tfplus_export.tf_types import Tensor
from tfplus_export.tiles import kept as kept_tensors
from tfplus_export.tiles.fused import FusedTile, Made, Statistics
from tfplus_export.tiles.kept import Backward, Forward, Kept
from tfplus_export.tiles.normalization import MEAN, VARIANCE, Normalization
from tfplus_export.train_step.signatures import VariableModule, concrete, tensor_specs
from tfplus_export.train_step.training import Training
from tfplus_export.train_step.variables import Weight


class TileModule(VariableModule):
    """Offers `forward_<g>` and `backward_<g>` of each group, `tail`, `update`, `save`, `restore`.

    All weights are in it, also those of the rest of the network: each device applies the whole
    update, and any of them can compute the tail. With `keep` a forward pass also returns what the
    backward pass then takes instead of computing it again. With `free` the passes of groups take
    weights as inputs and read no variable, so that each can run in a runtime of its own.
    """

    def __init__(
        self,
        tiles: tuple[FusedTile, ...],
        tail: Training,
        optimizer: Optimizer,
        weights: tuple[Weight, ...],
        *,
        keep: bool = False,
        free: bool = False,
    ) -> None:
        trained = {w.name: w.shape for w in weights if w.trainable}
        state = {name: value.shape for name, value in optimizer.state(trained).items()}
        super().__init__({w.name: w.shape for w in weights}, state)
        self.tiles, self._tail, self._optimizer, self._trained = tiles, tail, optimizer, trained
        self._keep, self._free = keep, free

    def concrete_functions(self) -> dict[str, Any]:
        """Signature name → concrete function of fixed shapes."""
        found: dict[str, Any] = {}
        for group, tile in enumerate(self.tiles):
            given = _inputs(tile)
            if self._free:
                given |= {w.name: TensorInfo(w.shape, "float32") for w in tile.weights}
            core = (tile.batch, *tile.tile.core.shape, tile.tile.layers[-1].channels_out)
            more = given | {"dy": TensorInfo(core, "float32")}
            kept: dict[str, Kept] = {}
            if self._keep:
                made = self._made(tile, given)
                again = functools.partial(self._gradients, group, tile, more)
                kept = kept_tensors.needed(made, given, again, more)
            found[f"forward_{group}"] = self._forward(tile, given, kept)
            arguments = more | {name: each.info for name, each in kept.items()}
            found[f"backward_{group}"] = concrete(
                self._gradients(group, tile, more, kept),
                tensor_specs(arguments).values(),
                arguments,
            )
        arguments = self._tail.arguments()
        gradients = {n: TensorInfo(s, "float32") for n, s in self._trained.items()}
        for normalization in self._normalizations():
            shape = normalization.moving_mean.shape
            for name in (MEAN, VARIANCE):
                gradients[f"{normalization.layer}/{name}"] = TensorInfo(shape, "float32")
        return {
            **found,
            "tail": concrete(self._rest, tensor_specs(arguments).values(), arguments),
            "update": concrete(
                functools.partial(self._update, tuple(gradients)),
                tensor_specs(gradients).values(),
                gradients,
            ),
            **self.state_functions(),
        }

    def _weights(self, tile: FusedTile, named: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        return {w.name: named[w.name] for w in tile.weights} if self._free else self.read()

    def _made(self, tile: FusedTile, given: Mapping[str, TensorInfo]) -> Forward:
        def run(*values: Tensor) -> Mapping[Made, Tensor]:
            named = dict(zip(given, values, strict=True))
            taken = _maps(tile, named), _masks(tile, named), self._weights(tile, named)
            return tile.made(*taken, _moments(tile, named))[1]

        return run

    def _forward(
        self, tile: FusedTile, given: Mapping[str, TensorInfo], kept: Mapping[str, Kept]
    ) -> Any:
        def run(*values: Tensor) -> dict[str, Tensor]:
            named = dict(zip(given, values, strict=True))
            taken = _maps(tile, named), _masks(tile, named), self._weights(tile, named)
            y, made = tile.made(*taken, _moments(tile, named))
            return {"y": y, **{name: made[each.made[0]] for name, each in kept.items()}}

        return concrete(run, tensor_specs(given).values(), given)

    def _gradients(
        self,
        group: int,
        tile: FusedTile,
        given: Mapping[str, TensorInfo],
        kept: Mapping[str, Kept],
    ) -> Backward:
        def run(*values: Tensor) -> dict[str, Tensor]:
            named = dict(zip((*given, *kept), values, strict=True))
            taken = _maps(tile, named), _masks(tile, named), named["dy"], self._weights(tile, named)
            dx, found, slopes = tile.backward(
                *taken,
                _moments(tile, named),
                kept_tensors.values_of(kept, named),
                to_input=group > 0,
            )
            found |= {f"d{input_name(i)}": gradient for i, gradient in enumerate(dx or ())}
            if slopes is not None:
                found["dmean"], found["dvariance"] = slopes
            # A signature must return something, also where nothing in front trains.
            return found or {"none": tf.zeros([1])}

        return run

    def _rest(self, *values: Tensor) -> dict[str, Tensor]:
        tail, state = self._tail, self.read()
        named = dict(zip(tail.arguments(), values, strict=True))
        known = {w.index: state[w.name] for w in tail.weights}
        known |= {c.index: tf.constant(c.value, tf.float32) for c in tail.constants}
        tape = replay(tail.train_graph, tail.rules, named, known)
        metrics, dy = tail.losses(tape.values, named)
        (taken,) = tail.train_graph.inputs.values()
        trained = {w.index: w.name for w in tail.weights if w.trainable}
        gradients, inputs = tape.gradients_and_inputs(dy, set(trained), (taken.name,))
        found = {trained[i]: g for i, g in gradients.items()}
        return {**metrics, "dx": inputs[taken.name], **found}

    def _normalizations(self) -> list[Normalization]:
        return [t.normalization for t in self.tiles if t.normalization is not None]

    def _update(self, names: tuple[str, ...], *values: Tensor) -> dict[str, Tensor]:
        named, state = dict(zip(names, values, strict=True)), self.read()
        gradients = {name: named[name] for name in self._trained}
        moved: dict[str, Tensor] = {}
        for each in self._normalizations():
            mean, variance = (named[f"{each.layer}/{name}"] for name in (MEAN, VARIANCE))
            moved |= each.moved(mean, variance, state)
        factor = self._optimizer.factor(state)
        if factor is not None:
            gradients = {name: gradient * factor for name, gradient in gradients.items()}
        weights = {name: state[name] for name in self.weight_names}
        new_weights, new_state = self._optimizer.apply(weights, gradients, state)
        self.assign(new_weights | new_state | moved)
        return {"ok": tf.constant([1], tf.int32)}


def _inputs(tile: FusedTile) -> dict[str, TensorInfo]:
    read = {
        input_name(i): TensorInfo((tile.batch, *each.region.shape, each.channels), "float32")
        for i, each in enumerate(tile.tile.inputs)
    }
    drawn = {n: TensorInfo(tuple(m.shape), "float32") for n, m in masks.of(tile.tile).items()}
    found = {**read, **drawn}
    if tile.normalization is not None:
        channels = (tile.tile.layers[0].channels_in,)
        found |= dict.fromkeys((MEAN, VARIANCE), TensorInfo(channels, "float32"))
    return found


def _moments(tile: FusedTile, named: Mapping[str, Tensor]) -> Statistics | None:
    return None if tile.normalization is None else (named[MEAN], named[VARIANCE])


def _maps(tile: FusedTile, named: Mapping[str, Tensor]) -> list[Tensor]:
    return [named[input_name(i)] for i in range(len(tile.tile.inputs))]


def _masks(tile: FusedTile, named: Mapping[str, Tensor]) -> dict[int, Tensor]:
    return {i: named[masks.name(i)] for i in masks.masked(tile.tile)}
