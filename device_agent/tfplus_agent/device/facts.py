"""What a device is, and how far it has come: told at once, whatever is under way."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from tfplus.data import device_data
from tfplus.model_file.manifest import Manifest
from tfplus.runtime import interpreter
from tfplus_agent.device import summary, training
from tfplus_agent.device.config import DeviceConfig
from tfplus_agent.device.slot import ModelSlot
from tfplus_agent.results import MemoryReading
from tfplus_agent.storage.directory import LoadedModel, StateDirectory
from tfplus_agent.storage.models import ModelStore

_LOG = logging.getLogger(__name__)


class DeviceFacts:
    """Data, models and state directory of a device, and the model that is loaded.

    Args:
      config: what it is started with.

    Raises:
      TfplusError: see `Device`.
    """

    def __init__(self, config: DeviceConfig) -> None:
        self.runtime = interpreter.find(config.runtime)
        if warning := self.runtime.xnnpack_warning:
            _LOG.warning("trains without XNNPACK: %s", warning)
        # A relative path would mean something else in the worker, should this process move.
        self._config = config = config.resolved()
        self.train_samples = device_data.inspect(config.data).samples
        self.eval_samples = device_data.inspect(config.eval_data).samples if config.eval_data else 0
        self.name, self.state_dir = config.name, config.state_dir
        self._state = StateDirectory(self.state_dir)
        self.incarnation = self._state.next_incarnation()
        self.models = ModelStore(self.state_dir / "models")
        self._slot = ModelSlot(config, self.runtime, self._state, self.models)

    @property
    def data(self) -> Path:
        """Where the training data lie."""
        return self._config.data

    @property
    def eval_data(self) -> Path | None:
        """Where the evaluation data lie, if there are any."""
        return self._config.eval_data

    @property
    def manifest(self) -> Manifest:
        """Manifest of the loaded model.

        Raises:
          DataError: no model is loaded.
        """
        return self._slot.loaded().manifest

    @property
    def model_sha256(self) -> str:
        """Address of the loaded model; empty when none is."""
        request = self.loaded_as
        return request.sha256 if request else ""

    @property
    def loaded_as(self) -> LoadedModel | None:
        """How the loaded model was loaded; None without one."""
        session = self._slot.session
        return session.request if session else None

    @property
    def accelerator(self) -> tuple[str, str]:
        """What the loaded model trains on, `cpu` or `gpu`, and why it is not the one asked for.

        Both are empty before a worker was started for it.
        """
        return self._slot.loaded().supervisor.accelerator

    @property
    def warnings(self) -> tuple[str, ...]:
        """Where the device's data are not what the loaded model was made for."""
        return self._slot.warnings

    @property
    def trained_steps(self) -> int:
        """All steps of the loaded model on this device."""
        return self._slot.session.steps if self._slot.session else 0

    def on_worker(self, told: Callable[[bool], None]) -> None:
        """Calls `told` now and whenever a worker was to start: whether the last one did."""
        self._slot.on_worker(told)

    def steps_total(self, epochs: int, max_steps: int) -> int:
        """How many steps `train` takes.

        Raises:
          DataError: no model is loaded.
          UsageError: neither epochs nor steps are given.
        """
        training.check_length(epochs, max_steps)
        size = self.manifest.batch_size
        return training.steps_total(epochs, max_steps, self.count_samples(), size)

    def count_samples(self) -> int:
        """Samples in the training data; counted anew where they come and go.

        Raises:
          DataError: there is none.
        """
        if device_data.grows(self._config.data):
            self.train_samples = device_data.inspect(self._config.data).samples
        return self.train_samples

    def worker_pid(self) -> int | None:
        """Process id of the worker that runs, if one does."""
        session = self._slot.session
        worker = session.supervisor.worker if session else None
        return worker.pid if worker is not None and worker.alive else None

    @property
    def processor_share(self) -> float:
        """The share of the time that training takes."""
        return self._config.processor_use.share

    def memory(self) -> MemoryReading:
        """Resident memory of daemon and worker, now."""
        return summary.memory(self._slot.session)
