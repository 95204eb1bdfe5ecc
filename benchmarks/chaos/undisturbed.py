"""The same training where nothing happens: what an agent's must be equal to, bit by bit."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

from tfplus.model_file.artifact import Artifact
from tfplus.tensors.slices import Tensor, Tensors
from tfplus_agent.device.config import DeviceConfig
from tfplus_agent.device.device import Device


class Undisturbed:
    """A device of its own that no fault strikes; a context manager.

    Args:
      model: what it trains.
      folder: for its state.
      data: training data.
      eval_data: evaluation data.
    """

    def __init__(self, model: Artifact, folder: Path, data: Path, eval_data: Path) -> None:
        config = DeviceConfig("undisturbed", folder, data, eval_data, threads=1, accelerator="cpu")
        self._device = Device(config)
        content = model.path.read_bytes()
        self._device.models.add(model.sha256, len(content), [content])
        self._device.load(model.sha256)

    def __enter__(self) -> Undisturbed:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._device.close()

    def train(self, steps: int, seed: int) -> None:
        """Takes so many steps."""
        if steps:
            self._device.train(0, seed, report_every=steps, max_steps=steps)

    def set_weights(self, tensors: Tensors) -> None:
        """Sets some variables."""
        self._device.set_weights(tensors)

    def variables(self) -> dict[str, Tensor]:
        """Weights and the optimizer's state: name → array."""
        return dict(self._device.weights(include_optimizer=True))

    @property
    def steps(self) -> int:
        """All steps so far."""
        return self._device.saved_steps()

    def metrics(self) -> dict[str, float]:
        """What an evaluation finds."""
        found = self._device.evaluate()
        return {} if found is None else dict(found.metrics)
