"""A file of tiles under a runtime: what `machine.Compute` asks for, weights and their update."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfplus.errors import ArtifactError, WorkerError
from tfplus.runtime import interpreter
from tfplus.tensors.slices import Tensor, Tensors, check_against
from tfplus.tiles import masks
from tfplus.tiles.grid import GroupTile
from tfplus.tiles.step.files import KEPT
from tfplus.tiles.step.messages import Floats, Gradients
from tfplus.tiles.step.moments import Moments

_LOSS = "loss"
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
        channels: Sequence[tuple[int, int]],
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
          channels: of each group's input and output.
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
            before, after = channels[group]
            given: dict[str, tuple[int, ...]] = {"x": (batch, *tile.regions[0].shape, before)}
            given |= {name: mask.shape for name, mask in self._masks[group].items()}
            given |= self.variables if free else {}
            if tile.normalizes:
                given |= dict.fromkeys(_MOMENTS, (before,))
                changed |= {f"{tile.layers[0].name}/{name}": (before,) for name in _MOMENTS}
            self._hold(f"forward_{group}", given)
            stays = self._stays(group) if keep else {}
            given |= stays | {"dy": (batch, *tile.core.shape, after)}
            self._hold(f"backward_{group}", given)
        self._hold("update", changed)

    def forward(self, group: int, fetched: Floats, moments: Moments | None) -> Floats:
        """See `machine.Compute`."""
        found = self._pass(f"forward_{group}", self._given(group, fetched, moments))
        self._kept[group] = {n: v for n, v in found.items() if n.startswith(KEPT)}
        return found["y"]

    def backward(
        self, group: int, fetched: Floats, delta: Floats, moments: Moments | None
    ) -> tuple[Floats | None, Gradients, Moments | None]:
        """See `machine.Compute`."""
        given = self._given(group, fetched, moments) | self._kept.pop(group, {})
        found = self._pass(f"backward_{group}", given | {"dy": delta})
        slopes = None if moments is None else Moments(found["dmean"], found["dvariance"])
        tile = self._part[group]
        dx = found.pop("dx", None)
        if dx is not None:
            dx = dx[tile.fetched.within(tile.regions[0])]
        return dx, {n: g for n, g in found.items() if n in self._trained}, slopes

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

    def _given(self, group: int, fetched: Floats, moments: Moments | None) -> dict[str, Floats]:
        tile = self._part[group]
        region, shape = tile.regions[0], (self._batch, *tile.regions[0].shape, fetched.shape[-1])
        padded = fetched
        if region != tile.fetched:
            padded = np.zeros(shape, np.float32)
            padded[tile.fetched.within(region)] = fetched
        taken = {} if moments is None else dict(zip(_MOMENTS, moments, strict=True))
        return {"x": padded, **self._masks[group], **taken}

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
