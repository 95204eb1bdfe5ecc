"""A file of tiles under a runtime: what `machine.Compute` asks for, weights and their update."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfplus.errors import ArtifactError, WorkerError
from tfplus.runtime import interpreter
from tfplus.tensors.slices import Tensor, Tensors, check_against
from tfplus.tiles import masks
from tfplus.tiles.group import GroupTile
from tfplus.tiles.step import files
from tfplus.tiles.step.files import KEPT
from tfplus.tiles.step.messages import Floats, Gradients
from tfplus.tiles.step.moments import Moments

_LOSS = "loss"
_input = files.input_name
# Inputs of a group that begins with a batch normalization; their gradients are named dmean, ....
_MOMENTS = ("mean", "variance")


class TileModel:
    """One device's tiles and all weights. Not thread-safe.

    Every shape was checked by who hands arrays in: the machine, against the plan; this class holds
    the file to the same plan.
    """

    def __init__(
        self,
        content: bytes,
        part: Sequence[GroupTile],
        trained: Mapping[str, tuple[int, ...]],
        batch: int,
        threads: int = 1,
        *,
        keep: bool = False,
        free: bool = False,
    ) -> None:
        """Opens a file.

        Args:
          content: of it.
          part: the device's tile of each group.
          trained: name → shape of what the update takes.
          batch: samples of a step.
          threads: of the interpreter.
          keep: see `Tiling`.
          free: see `Tiling`.

        Raises:
          ArtifactError: the runtime does not take the file, or it is of other tiles.
        """
        groups = range(len(part))
        names = [f"{way}_{g}" for g in groups for way in ("forward", "backward")]
        names += ["tail", "update", "save", "restore"]
        self._content, self._threads, self._free = content, threads, free
        self._runners = interpreter.find().runners(content, names, threads=threads)
        self.variables = {
            name: tuple(int(d) for d in item["shape"])
            for name, item in self._runners["save"].get_output_details().items()
        }
        # Of every variable, where no runtime stays open that has it.
        self._values: dict[str, Tensor] = dict(self._opened("save")["save"]()) if free else {}
        self._part, self._batch, self._trained = tuple(part), batch, dict(trained)
        # By group, from its forward to its backward pass.
        self._kept: dict[int, dict[str, Floats]] = {}
        self._masks = [masks.of(tile) for tile in part]
        changed: dict[str, tuple[int, ...]] = dict(trained)
        for group, tile in enumerate(part):
            given: dict[str, tuple[int, ...]] = {
                _input(i): (batch, *each.region.shape, each.channels)
                for i, each in enumerate(tile.inputs)
            }
            given |= {name: mask.shape for name, mask in self._masks[group].items()}
            given |= self.variables if free else {}
            if tile.normalizes:
                channels = (tile.layers[0].channels_in,)
                given |= dict.fromkeys(_MOMENTS, channels)
                changed |= {f"{tile.layers[0].name}/{name}": channels for name in _MOMENTS}
            self._hold(f"forward_{group}", given)
            stays = self._stays(group) if keep else {}
            given |= stays | {"dy": (batch, *tile.core.shape, tile.layers[-1].channels_out)}
            self._hold(f"backward_{group}", given)
        self._hold("update", changed)

    def forward(self, group: int, fetched: Sequence[Floats], moments: Moments | None) -> Floats:
        """See `machine.Compute`."""
        found = self._pass(f"forward_{group}", self._given(group, fetched, moments))
        self._kept[group] = {n: v for n, v in found.items() if n.startswith(KEPT)}
        return found["y"]

    def backward(
        self, group: int, fetched: Sequence[Floats], delta: Floats, moments: Moments | None
    ) -> tuple[Sequence[Floats] | None, Gradients, Moments | None]:
        """See `machine.Compute`."""
        given = self._given(group, fetched, moments) | self._kept.pop(group, {})
        found = self._pass(f"backward_{group}", given | {"dy": delta})
        slopes = None if moments is None else Moments(found["dmean"], found["dvariance"])
        inputs = self._part[group].inputs
        dx = [
            found[f"d{_input(i)}"][each.fetched.within(each.region)]
            for i, each in enumerate(inputs)
            if f"d{_input(i)}" in found
        ]
        return dx or None, {n: g for n, g in found.items() if n in self._trained}, slopes

    def tail(self, output: Floats, targets: Tensors) -> tuple[dict[str, float], Floats, Gradients]:
        """See `machine.Compute`."""
        details = self._runners["tail"].get_input_details()
        (taken,) = set(details) - set(targets)
        found = self._run("tail", {taken: output, **targets})
        dx = found.pop("dx")
        gradients = {n: g for n, g in found.items() if n in self._trained}
        metrics = {n: float(v.reshape(-1)[0]) for n, v in found.items() if n not in gradients}
        return {_LOSS: metrics.pop(_LOSS), **metrics}, dx, gradients

    def update(self, gradients: Gradients, moments: Mapping[str, Moments]) -> None:
        """Applies the optimizer to every weight, and moves averages towards what was taken."""
        taken = {
            f"{layer}/{name}": value
            for layer, found in moments.items()
            for name, value in zip(_MOMENTS, found, strict=True)
        }
        self._run("update", {**gradients, **taken})

    def save(self) -> dict[str, Tensor]:
        """A copy of every variable, by name."""
        values = self._values if self._free else self._runners["save"]()
        return {name: np.array(value) for name, value in values.items()}

    def restore(self, tensors: Tensors) -> None:
        """Sets every variable.

        Raises:
          TensorError: they are not exactly the file's variables.
        """
        check_against(tensors, {n: (s, "float32") for n, s in self.variables.items()})
        if self._free:
            self._values = {name: np.array(value) for name, value in tensors.items()}
        else:
            self._invoke(self._runners, "restore", tensors)

    def _given(
        self, group: int, fetched: Sequence[Floats], moments: Moments | None
    ) -> dict[str, Floats]:
        found: dict[str, Floats] = {}
        for i, (each, values) in enumerate(zip(self._part[group].inputs, fetched, strict=True)):
            padded = values
            if each.region != each.fetched:
                padded = np.zeros((self._batch, *each.region.shape, each.channels), np.float32)
                padded[each.fetched.within(each.region)] = values
            found[_input(i)] = padded
        taken = {} if moments is None else dict(zip(_MOMENTS, moments, strict=True))
        return {**found, **self._masks[group], **taken}

    def _pass(self, signature: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """Runs a pass of a group; where it is freed it takes weights and has no variables."""
        if not self._free:
            return self._invoke(self._runners, signature, given)
        return self._invoke(self._opened(signature), signature, {**self._values, **given})

    def _run(self, signature: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """Runs what reads or writes variables."""
        if not self._free:
            return self._invoke(self._runners, signature, given)
        runners = self._opened("restore", signature, "save")
        self._invoke(runners, "restore", self._values)
        found = self._invoke(runners, signature, given)
        if signature == "update":
            self._values = self._invoke(runners, "save", {})
        return found

    def _opened(self, *signatures: str) -> dict[str, Any]:
        """A runtime whose memory goes away with it."""
        return interpreter.find().runners(self._content, signatures, threads=self._threads)

    def _invoke(
        self, runners: Mapping[str, Any], signature: str, given: Mapping[str, Any]
    ) -> dict[str, Any]:
        # The converter leaves out what a signature does not read.
        known = runners[signature].get_input_details()
        taken = {n: np.ascontiguousarray(v) for n, v in given.items() if n in known}
        try:
            return runners[signature](**taken)
        except (RuntimeError, MemoryError) as error:
            lines = [line for line in str(error).splitlines() if line.strip()]
            raise WorkerError(
                f"tiles: the runtime failed in '{signature}', as it does where memory is short: "
                f"{lines[0] if lines else type(error).__name__}: plan for less (--memory, "
                "--batch-size), or for more devices"
            ) from None

    def _stays(self, group: int) -> dict[str, tuple[int, ...]]:
        """Name → shape of what the forward pass of a group returns for the backward pass."""
        made = self._runners[f"forward_{group}"].get_output_details()
        return {n: tuple(int(d) for d in x["shape"]) for n, x in made.items() if n.startswith(KEPT)}

    def _hold(self, signature: str, given: Mapping[str, tuple[int, ...]]) -> None:
        for name, item in self._runners[signature].get_input_details().items():
            shape = tuple(int(d) for d in item["shape"])
            if given.get(name) != shape or item["dtype"] != np.float32:
                raise ArtifactError(
                    f"tiles: signature '{signature}', input '{name}': the plan says "
                    f"{given.get(name)}, the file has {shape}"
                )
