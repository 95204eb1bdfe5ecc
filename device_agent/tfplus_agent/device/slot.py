"""The one model that is loaded: opened again after a restart, replaced by the next, ended."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable

from tfplus.errors import DataError, TfplusError, WorkerError
from tfplus.runtime.interpreter import Runtime
from tfplus_agent.device import retention
from tfplus_agent.device.config import FEATURES, DeviceConfig
from tfplus_agent.device.session import Session
from tfplus_agent.storage.checkpoints import CheckpointStore
from tfplus_agent.storage.directory import LoadedModel, StateDirectory
from tfplus_agent.storage.models import ModelStore
from tfplus_agent.worker.client import WorkerSetup

_LOG = logging.getLogger(__name__)


class ModelSlot:
    """Holds the session of the loaded model. Not thread-safe, but for reading `session`.

    Args:
      config: of the device, with absolute paths.
      runtime: that opens models.
      state: remembers which model is loaded.
      models: that were uploaded.

    Attributes:
      session: the loaded model; None where there is none.
    """

    def __init__(
        self, config: DeviceConfig, runtime: Runtime, state: StateDirectory, models: ModelStore
    ) -> None:
        self._config = config
        self._runtime = runtime
        self._state = state
        self._models = models
        self._works = True
        self._told_of_worker: Callable[[bool], None] = lambda _: None
        self.session: Session | None = self._resumed()

    def loaded(self) -> Session:
        """The session.

        Raises:
          DataError: no model is loaded.
        """
        session = self.session
        if session is None:
            raise DataError("no model is loaded on this agent: upload one and load it first")
        return session

    @property
    def warnings(self) -> tuple[str, ...]:
        """Where the device's data are not what the loaded model was made for."""
        session = self.loaded()
        own, asked = self._config.scaling, session.request.scaling
        if own is None or asked in (None, own):
            return session.supervisor.misfits
        kept = f"this agent was started with {own}, which stands; {asked} was asked for"
        return (kept, *session.supervisor.misfits)

    def on_worker(self, told: Callable[[bool], None]) -> None:
        """Calls `told` now and whenever a worker was to start: whether the last one did."""
        self._told_of_worker = told
        told(self._works)

    def load(self, request: LoadedModel, *, fresh: bool) -> Session:
        """Loads a model in the place of the one before, which stays where this fails.

        Args:
          request: which model, and how.
          fresh: start from the weights in the file, also where a checkpoint exists.

        Raises:
          StorageError: steps of the model loaded now are in memory alone, and cannot be written.
          TfplusError: the model or the data does not fit.
        """
        before = self.session
        if before is not None:
            before.keep("a model cannot be loaded")
        session = self._open(request)
        if before is not None:
            # Two interpreters at once may be more than a small device can hold.
            before.close()
        try:
            if fresh:
                session.start_over()
            session.worker()
            self._state.set_loaded(request)
        except BaseException as error:
            session.close()
            if before is not None and isinstance(error, WorkerError):
                # Whether it was this model that no worker survives, or any.
                with contextlib.suppress(TfplusError):
                    before.worker()
            raise
        self.session = session
        state_dir, keep = self._config.state_dir, self._config.keep_models
        retention.note_use(self._models, state_dir, request.sha256, keep)
        return session

    def end(self) -> None:
        """Writes steps that are in memory alone, and ends the worker."""
        session = self.session
        if session is None:
            return
        try:
            session.keep("the agent ends")
        except TfplusError as error:
            _LOG.warning("%s", error)
        session.close()

    def _resumed(self) -> Session | None:
        request = self._state.loaded()
        if request is None:
            return None
        try:
            return self._open(request)
        except (TfplusError, OSError) as error:
            _LOG.warning("the model that was loaded last cannot be loaded again: %s", error)
            return None

    def _open(self, request: LoadedModel) -> Session:
        config, read = self._config, self._models.open(request.sha256)
        checkpoints = CheckpointStore(
            retention.checkpoints_of(config.state_dir, request.sha256),
            request.sha256,
            read.manifest.expected(),
        )
        setup = WorkerSetup(
            model=read.path,
            data=config.data,
            eval_data=config.eval_data,
            runtime=self._runtime.name,
            threads=request.threads,
            xnnpack=not (request.disable_xnnpack or self._runtime.xnnpack_warning),
            accelerator=config.accelerator,
            gpu_precision=config.gpu_precision,
            scaling=config.scaling or request.scaling,
            features=config.state_dir / FEATURES,
            features_limit_bytes=config.features_limit_bytes,
            processor_use=config.processor_use,
        )
        log_path = config.state_dir / "worker.log"
        return Session(request, read.manifest, setup, checkpoints, log_path, self._worker_started)

    def _worker_started(self, works: bool) -> None:
        self._works = works
        self._told_of_worker(works)
