"""What the loaded model of a device knows: read, set, measured, brought to disk."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tfplus.tensors import slices
from tfplus.tensors.slice_set import SliceSet
from tfplus.tensors.slices import Tensors
from tfplus_agent.device import summary
from tfplus_agent.device.config import DeviceConfig
from tfplus_agent.device.facts import DeviceFacts
from tfplus_agent.device.incoming import IncomingWeights
from tfplus_agent.device.reading import WeightsReading, WeightsToSend
from tfplus_agent.jobs.owner import DeviceOwner
from tfplus_agent.results import BenchmarkResult, EvaluateResult
from tfplus_agent.storage import checkpoints
from tfplus_agent.storage.checkpoints import Checkpoint


class DeviceState(DeviceFacts):
    """State of the loaded model, each use of it an operation on the device.

    Attributes:
      owner: who may use it now; a reservation of it covers many operations.

    Args:
      config: what it is started with.

    Raises:
      TfplusError: see `Device`.
    """

    def __init__(self, config: DeviceConfig) -> None:
        super().__init__(config)
        self.owner = DeviceOwner()

    def saved_steps(self) -> int:
        """All steps of the loaded model on this device, after those in memory alone were written.

        Raises:
          DataError: no model is loaded.
          StorageError: they cannot be written.
        """
        with self.owner.operation("writing a checkpoint"):
            session = self._slot.loaded()
            session.keep("the steps cannot be counted")
            return session.steps

    def commit(self, state: Checkpoint, keep: Callable[[Path], None]) -> None:
        """Makes `state` what the loaded model stands at, in one file; on disk when this returns.

        Args:
          state: every variable, and the steps behind them.
          keep: called with the file, which it may link to; no other operation begins meanwhile.

        Raises:
          StorageError: the disk is full.
        """
        with self.owner.operation("writing a round down", changes=True):
            self._slot.loaded().commit(state, keep)

    def settle(self, keep: Callable[[Path], None] = lambda _: None) -> None:
        """Brings all that was learned to disk where it is not there yet.

        Args:
          keep: called with the file that holds it, as in `commit`.

        Raises:
          StorageError: the disk is full.
        """
        with self.owner.operation("writing what was learned"):
            keep(self._slot.loaded().settled())

    def go_back(self, file: Path) -> int:
        """Makes a checkpoint's file, kept by `settle` or `commit`, what the model stands at again.

        Returns:
          The steps behind it.

        Raises:
          DamagedFileError: it is not what was written; nothing changes.
          StorageError: the disk is full; nothing changes.
        """
        with self.owner.operation("going back to earlier weights", changes=True):
            session = self._slot.loaded()
            session.commit(checkpoints.of_file(file, session.manifest.expected()), lambda _: None)
            return session.steps

    def weights(self, prefixes: Sequence[str] = (), include_optimizer: bool = False) -> SliceSet:
        """Returns the weights that `read_weights` reads."""
        return self.read_weights(prefixes, include_optimizer).tensors

    def read_weights(
        self, prefixes: Sequence[str] = (), include_optimizer: bool = False
    ) -> WeightsReading:
        """Reads the weights under `prefixes`, all when none is given; in a training between steps.

        Args:
          prefixes: such as `shared` or `task/3`.
          include_optimizer: also the optimizer's state, which lies under `optimizer`.

        Raises:
          TensorError: a prefix matches nothing.
        """
        with self.owner.operation("reading weights"):
            return self._slot.loaded().read(self._chosen(prefixes, include_optimizer))

    def weights_to_send(
        self, prefixes: Sequence[str] = (), include_optimizer: bool = False
    ) -> WeightsToSend:
        """Does what `read_weights` does; those of a checkpoint are read while they are sent."""
        with self.owner.operation("reading weights"):
            return self._slot.loaded().to_send(self._chosen(prefixes, include_optimizer))

    def set_weights(self, tensors: Tensors, *, step: int | None = None) -> None:
        """Sets some or all variables; the rest keeps its value. On disk when this returns.

        Args:
          tensors: name → array.
          step: what `trained_steps` becomes; None leaves it.

        Raises:
          TensorError: a name, shape or dtype that the model does not have, NaN, or a value that
            such a variable cannot have, see `tfplus.model_file.state_ranges`.
          StorageError: the disk is full; nothing was set.
        """
        values = SliceSet.of(tensors)
        with self.owner.operation("setting weights", changes=True):
            session = self._slot.loaded()
            with IncomingWeights(session) as incoming:
                incoming.write(values)
                incoming.set(session, values.hashes(), step)

    def incoming_weights(self) -> IncomingWeights:
        """What takes weights as they come, for `set_incoming`; a context manager.

        Raises:
          DataError: no model is loaded.
          StorageError: the disk is full.
        """
        return IncomingWeights(self._slot.loaded())

    def set_incoming(self, incoming: IncomingWeights, hashes: Mapping[str, bytes]) -> None:
        """Sets variables that came, as `set_weights` does.

        Args:
          incoming: has taken all of them.
          hashes: name → SHA-256 of each, which was checked against its bytes.
        """
        with self.owner.operation("setting weights", changes=True):
            incoming.set(self._slot.loaded(), hashes, None)

    def data_fingerprint(self) -> str:
        """What tells the training data that the worker has opened from others."""
        with self.owner.operation("looking at the data"):
            return self._slot.loaded().worker().loaded.fingerprint

    def evaluate(self) -> EvaluateResult | None:
        """Measures every metric on the evaluation data; None when there is none."""
        if self._config.eval_data is None:
            return None
        with self.owner.operation("evaluating"):
            started = time.monotonic()
            session = self._slot.loaded()
            found = session.evaluate()
            return summary.of_evaluation(session, found, time.monotonic() - started)

    def predict(self, *, training_data: bool = False) -> Tensors:
        """Runs the model on the evaluation or the training data: output → [samples, ...].

        Raises:
          DataError: there are none.
        """
        with self.owner.operation("predicting"):
            session = self._slot.loaded()
            return session.ask(lambda worker: worker.predict_own(training_data=training_data))

    def benchmark(self, steps: int, cancelled: Callable[[], bool]) -> BenchmarkResult:
        """Measures steps of training and inference on the training data, and undoes them.

        Args:
          steps: of each.
          cancelled: asked every now and then; once true, it ends.
        """
        with self.owner.operation("benchmarking", changes=True, long=True):
            session = self._slot.loaded()
            timings = session.ask(lambda worker: worker.benchmark(steps, cancelled))
            manifest, accelerator = session.manifest, session.supervisor.accelerator[0]
            sizes = (manifest.batch_size, manifest.infer_batch_size)
            return BenchmarkResult(timings, *sizes, accelerator)

    def rest(self) -> None:
        """Ends the worker, with its memory, until something needs it; what it learned is kept.

        Raises:
          StorageError: it cannot be written; the worker stays.
        """
        with self.owner.operation("ending the worker"):
            session = self._slot.loaded()
            session.keep("the worker cannot be ended")
            session.close()

    def _chosen(self, prefixes: Sequence[str], include_optimizer: bool) -> list[str]:
        manifest = self._slot.loaded().manifest
        names = manifest.expected(weights_only=not include_optimizer)
        return slices.select(names, prefixes)
