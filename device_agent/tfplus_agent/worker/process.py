"""The process that owns the interpreter: it may abort, and takes nothing but itself along.

It reads requests from its standard input and answers on its standard output, one after the other;
see `framing`. It ends when its input does, that is, when the daemon is gone.
"""

from __future__ import annotations

import logging
import os
import select
import sys
import threading
from collections.abc import Callable
from dataclasses import replace

from tfplus.data import device_data
from tfplus.data.device_data import Dataset
from tfplus.data.scaling import Scaling
from tfplus.errors import DataError, TfplusError, WorkerError
from tfplus.features import opening
from tfplus.features.opening import Features
from tfplus.model_file import artifact
from tfplus.model_file.manifest import Manifest
from tfplus.runtime import interpreter
from tfplus.runtime.opening import OpenOptions
from tfplus.runtime.trainable_model import TrainableModel
from tfplus.system.processor_use import EVERYTHING
from tfplus.training import benchmark, epoch, evaluation, prediction
from tfplus.training.epoch import EpochPlan
from tfplus_agent.gpu import choice
from tfplus_agent.worker import heartbeat, protocol
from tfplus_agent.worker.framing import Reader, Writer
from tfplus_agent.worker.messages import (
    Alive,
    Benchmark,
    Cancel,
    Done,
    Evaluate,
    Failed,
    Loaded,
    Message,
    Predict,
    Reply,
    Request,
    Restore,
    Save,
    Variables,
    WorkerSetup,
)
from tfplus_agent.worker.watched_pipe import widen

_log = logging.getLogger(__name__)


class Worker:
    """Answers requests with one model and one device's data.

    Args:
      send: writes an event ahead of the reply.
      cancelled: whether the daemon asked to stop the request under way.
    """

    def __init__(self, send: Callable[[Message], None], cancelled: Callable[[], bool]) -> None:
        self._send = send
        self._cancelled = cancelled
        self._model: TrainableModel | None = None
        # As they lie on disk, and as the model takes them.
        self._samples: Dataset | None = None
        self._train: Dataset | None = None
        self._eval: Dataset | None = None
        self._misfits: tuple[str, ...] = ()
        self._features: Features | None = None
        self._samples_manifest: Manifest | None = None
        self._use = EVERYTHING

    def answer(self, request: Request) -> Reply:
        """Carries out one request.

        Raises:
          TfplusError: it cannot be done.
        """
        if isinstance(request, WorkerSetup):
            return self._load(request)
        if self._model is None:
            raise WorkerError("no model is loaded")
        match request:
            case EpochPlan():
                return self._train_epoch(self._model, request)
            case Evaluate():
                return evaluation.evaluate(self._model, self._evaluation_data())
            case Predict():
                return self._predict(self._model, request)
            case Benchmark():
                train = self._training_data()
                return benchmark.measure(self._model, train, request.steps, self._cancelled)
            case Save():
                return Variables(self._model.save())
            case Restore():
                self._model.restore(request.tensors)
                return Done()
            case Cancel():
                return Done()

    def _load(self, setup: WorkerSetup) -> Loaded:
        # Before the runtime starts threads, which inherit it.
        setup.processor_use.apply()
        self._use = setup.processor_use
        read = _scaled(artifact.read(setup.model), setup.scaling)
        # What data are checked against; a file may take the output of frozen layers instead.
        manifest = self._samples_manifest = opening.of_samples(read.manifest)
        features = self._features = Features(
            read,
            interpreter.find(setup.runtime),
            setup.features,
            limit_bytes=setup.features_limit_bytes,
            threads=setup.threads,
            note=_log.warning,
        )
        read = replace(read, manifest=opening.of_features(read.manifest))
        batch = None
        if setup.annotated:
            self._train = features.annotated()
        if setup.data is not None:
            samples = device_data.load(setup.data, manifest, for_training=True)
            self._misfits = device_data.misfits(samples, manifest)
            self._samples, self._train = samples, features.of(samples)
            size = manifest.batch_size
            batch = next(device_data.batches(self._train, read.manifest, size)).arguments
        if setup.eval_data is not None:
            samples = device_data.load(setup.eval_data, manifest, for_training=False)
            found = device_data.misfits(samples, manifest)
            self._misfits += tuple(f"evaluation data, {text}" for text in found)
            self._eval = features.of(samples)
        options = OpenOptions(
            setup.accelerator, setup.runtime, setup.threads, setup.xnnpack, setup.gpu_precision
        )
        self._model, note = choice.open_fit(read, options, batch)
        guess_loss = None
        if self._train is not None:
            guess_loss = device_data.guess_loss(self._train, read.manifest)
        count = len(self._train) if self._train is not None else 0
        # After the samples were opened: that may write which label a class has.
        told = device_data.fingerprint(setup.data) if setup.data is not None else ""
        return Loaded(count, self._model.accelerator, note, self._misfits, guess_loss, told)

    def _train_epoch(self, model: TrainableModel, plan: EpochPlan) -> Reply:
        data = self._samples_of(plan)
        try:
            stopped = self._use.paced(self._cancelled)
            return epoch.train(model, data, plan, self._send, stopped, self._misfits)
        finally:
            if self._features is not None:
                self._features.flush()

    def _samples_of(self, plan: EpochPlan) -> Dataset:
        """As they are now where an epoch begins; else those that it began with.

        Also in a worker that was started since.
        """
        data = self._training_data()
        held, manifest = self._samples, self._samples_manifest
        if held is None or manifest is None or (plan.until and plan.until == held.last_key):
            return data
        now = device_data.refreshed(held, manifest, plan.until)
        if now is not held:
            self._samples = now
            self._train = now if self._features is None else self._features.of(now)
        return self._training_data()

    def _predict(self, model: TrainableModel, request: Predict) -> Reply:
        try:
            return Variables(prediction.predict(model, self._asked_for(request)))
        finally:
            # Nothing waits in memory between two requests: what is forgotten then is on disk alone.
            if self._features is not None:
                self._features.flush()

    def _asked_for(self, request: Predict) -> Dataset:
        if request.data is not None and self._model is not None:
            held = self._samples_manifest
            manifest = self._model.manifest if held is None else held
            samples = device_data.load_inputs(request.data, manifest)
            return samples if self._features is None else self._features.of(samples, predicts=True)
        return self._training_data() if request.training_data else self._evaluation_data()

    def _training_data(self) -> Dataset:
        if self._train is None:
            raise DataError("no training data: they were not given when the model was loaded")
        return self._train

    def _evaluation_data(self) -> Dataset:
        if self._eval is None:
            raise DataError("no evaluation data: start the agent with --eval-data")
        return self._eval


def _scaled(read: artifact.Artifact, scaling: Scaling | None) -> artifact.Artifact:
    """The model as if its file declared that scaling; as it is without one."""
    if scaling is None:
        return read
    declared = scaling.declared_in(read.manifest.preprocessing)
    return replace(read, manifest=replace(read.manifest, preprocessing=declared))


def serve(
    requests: Reader,
    replies: Writer,
    cancelled: Callable[[], bool],
    heartbeat_s: float = heartbeat.INTERVAL_S,
) -> None:
    """Answers requests until there are no more.

    An error of the user's making is a reply. After any other the interpreter's state is not to be
    trusted: the reply says that it is the last one.

    Args:
      requests: where they come from.
      replies: where answers go, and a sign of life every `heartbeat_s` seconds in between.
      cancelled: whether the daemon asked to stop the request under way.
      heartbeat_s: seconds.
    """
    one_at_a_time = threading.Lock()

    def send(message: Message) -> None:
        with one_at_a_time:
            protocol.send(replies, message)

    worker = Worker(send, cancelled)
    while (request := protocol.receive(requests)) is not None:
        if isinstance(request, Cancel):
            continue
        if not isinstance(request, Request):
            raise WorkerError(f"expected a request, got '{protocol.kind_of(request)}'")
        try:
            with heartbeat.Heartbeat(lambda: send(Alive()), heartbeat_s):
                reply = worker.answer(request)
        except TfplusError as error:
            reply = protocol.failed(error)
        except Exception as error:
            text = f"{type(error).__name__}: {error}"
            send(Failed(WorkerError.__name__, text, last=True))
            raise
        send(reply)


def main() -> None:
    """Serves on the pipes that this process was started with."""
    requests_fd, replies_fd = os.dup(0), os.dup(1)
    # Whatever the C library prints goes to the log and cannot get in between two messages.
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123 (the number of the file is what counts)
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    arrived = select.poll()
    arrived.register(requests_fd, select.POLLIN | select.POLLHUP)
    with (
        os.fdopen(requests_fd, "rb", buffering=0) as requests,
        os.fdopen(replies_fd, "wb", buffering=0) as replies,
    ):
        widen(replies)

        def cancelled() -> bool:
            if not arrived.poll(0):
                return False
            # Nothing but a cancel comes while a request is under way; the end means: stop too.
            protocol.receive(requests)
            return True

        try:
            serve(requests, replies, cancelled)
        except BrokenPipeError:
            sys.exit(0)


if __name__ == "__main__":
    main()
