"""The process that owns the interpreter: it may abort, and takes nothing but itself along.

It reads requests from its standard input and answers on its standard output, one after the other;
see `framing`. It ends when its input does, that is, when the daemon is gone.
"""

from __future__ import annotations

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
from tfplus.model_file import artifact
from tfplus.runtime.opening import OpenOptions
from tfplus.runtime.trainable_model import TrainableModel
from tfplus.training import epoch, evaluation, prediction
from tfplus.training.epoch import EpochPlan
from tfplus_agent.gpu import choice
from tfplus_agent.worker import heartbeat, protocol
from tfplus_agent.worker.framing import Reader, Writer
from tfplus_agent.worker.messages import (
    Alive,
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
        self._train: Dataset | None = None
        self._eval: Dataset | None = None
        self._misfits: tuple[str, ...] = ()

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
                return self._evaluate(self._model)
            case Predict():
                samples = device_data.load_inputs(request.data, self._model.manifest)
                return Variables(prediction.predict(self._model, samples))
            case Save():
                return Variables(self._model.save())
            case Restore():
                self._model.restore(request.tensors)
                return Done()
            case Cancel():
                return Done()

    def _load(self, setup: WorkerSetup) -> Loaded:
        read = _scaled(artifact.read(setup.model), setup.scaling)
        manifest = read.manifest
        batch = None
        if setup.data is not None:
            self._train = device_data.load(setup.data, manifest, for_training=True)
            batch = next(device_data.batches(self._train, manifest, manifest.batch_size)).arguments
        if setup.eval_data is not None:
            self._eval = device_data.load(setup.eval_data, manifest, for_training=False)
        options = OpenOptions(
            setup.accelerator, setup.runtime, setup.threads, setup.xnnpack, setup.gpu_precision
        )
        self._model, note = choice.open_fit(read, options, batch)
        guess_loss = None
        if self._train is not None:
            self._misfits = device_data.misfits(self._train, manifest)
            guess_loss = device_data.guess_loss(self._train, manifest)
        if self._eval is not None:
            found = device_data.misfits(self._eval, manifest)
            self._misfits += tuple(f"evaluation data, {text}" for text in found)
        samples = len(self._train) if self._train is not None else 0
        return Loaded(samples, self._model.accelerator, note, self._misfits, guess_loss)

    def _train_epoch(self, model: TrainableModel, plan: EpochPlan) -> Reply:
        if self._train is None:
            raise DataError("no training data: they were not given when the model was loaded")
        return epoch.train(model, self._train, plan, self._send, self._cancelled, self._misfits)

    def _evaluate(self, model: TrainableModel) -> Reply:
        if self._eval is None:
            raise DataError("no evaluation data: start the agent with --eval-data")
        return evaluation.evaluate(model, self._eval)


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
