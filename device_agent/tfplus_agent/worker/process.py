"""The process that owns the interpreter: it may abort, and takes nothing but itself along.

It reads requests from its standard input and answers on its standard output, one after the other;
see `framing`. It ends when its input does, that is, when the daemon is gone.
"""

from __future__ import annotations

import contextlib
import math
import os
import select
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tfplus.data import device_data
from tfplus.data.scaling import Scaling
from tfplus.errors import DataError, TfplusError, WorkerError
from tfplus.model_file import artifact
from tfplus.runtime import gpu, gpu_model, interpreter
from tfplus_agent.gpu import calibration
from tfplus_agent.results import LOSS
from tfplus_agent.worker import heartbeat
from tfplus_agent.worker.framing import Reader, Writer, read_message, write_message
from tfplus_agent.worker.prefetch import ahead
from tfplus_agent.worker.scoring import score
from tfplus_agent.worker.stepping import Stepper
from tfplus_agent.worker.tensor_blob import packed, unpacked
from tfplus_agent.worker.watched_pipe import widen

Reply = tuple[dict[str, Any], bytes | list[memoryview]]


class Worker:
    """Answers requests with one model and one device's data.

    Args:
      send: writes an event ahead of the reply.
      cancelled: whether the daemon asked to stop the request under way.
    """

    def __init__(
        self, send: Callable[[dict[str, Any]], None], cancelled: Callable[[], bool]
    ) -> None:
        self._send = send
        self._cancelled = cancelled
        self._model: interpreter.Model | gpu_model.GpuModel | None = None
        self._train: device_data.Dataset | None = None
        self._eval: device_data.Dataset | None = None
        self._misfits: tuple[str, ...] = ()

    def answer(self, request: dict[str, Any], blob: memoryview) -> Reply:
        """Carries out one request.

        Raises:
          TfplusError: it cannot be done.
        """
        commands: dict[str, Callable[[dict[str, Any], memoryview], Reply]] = {
            "load": self._load,
            "train": self._train_epoch,
            "evaluate": self._evaluate,
            "save": self._save,
            "restore": self._restore,
        }
        command = commands.get(str(request.get("command")))
        if command is None:
            raise WorkerError(f"worker: no command '{request.get('command')}'")
        return command(request, blob)

    def _load(self, request: dict[str, Any], _: memoryview) -> Reply:
        read = _scaled(artifact.read(Path(request["model"])), request["scaling"])
        self._train = device_data.load(Path(request["data"]), read.manifest, for_training=True)
        if request["eval_data"]:
            self._eval = device_data.load(
                Path(request["eval_data"]), read.manifest, for_training=False
            )

        def opened(xnnpack: bool) -> interpreter.Model:
            installed = interpreter.find(request["runtime"])
            return installed.open(
                read.path,
                read.manifest,
                threads=request["threads"],
                xnnpack=xnnpack and not installed.xnnpack_warning,
            )

        model = opened(request["xnnpack"])
        self._model, note = model, ""
        asked = request["accelerator"]
        if asked == gpu_model.GPU or (asked == gpu_model.AUTO and read.manifest.accelerated):
            batch = next(device_data.batches(self._train, read.manifest, read.manifest.batch_size))
            precision = gpu.precision_named(request["gpu_precision"])
            tried = calibration.of(
                read, model, batch.arguments, precision, lambda: opened(not request["xnnpack"])
            )
            note = tried.objection or (tried.no_gain if asked == gpu_model.AUTO else "")
            try:
                self._model = model if note else gpu_model.GpuModel(read, precision)
            except WorkerError as error:
                note = str(error)
        about = {"accelerator": self._model.accelerator, "note": note}
        self._misfits = device_data.misfits(self._train, read.manifest)
        if self._eval is not None:
            found = device_data.misfits(self._eval, read.manifest)
            self._misfits += tuple(f"evaluation data, {text}" for text in found)
        about |= {
            "misfits": self._misfits,
            "guess_loss": device_data.guess_loss(self._train, read.manifest),
        }
        return {"train_samples": len(self._train), **about}, b""

    def _train_epoch(self, request: dict[str, Any], _: memoryview) -> Reply:
        model, samples = self._loaded()
        # Seed and epoch together, so that every epoch has its own order, resumed or not.
        rng = np.random.default_rng([request["seed"], request["epoch"]])
        steps = Stepper(model, request["loss_every"])
        batch_size, told = model.manifest.batch_size, request["first_step"]
        until = time.monotonic() + request["max_seconds"]
        batches = device_data.batches(samples, model.manifest, batch_size, rng, request["skip"])
        with contextlib.closing(ahead(batches)) as upcoming:
            for batch in upcoming:
                late = steps.steps > 0 and time.monotonic() > until
                if steps.steps >= request["max_steps"] or late or self._cancelled():
                    break
                steps.take(batch)
                if not steps.unread:
                    told = self._report(steps, request, told)
        if steps.unread:
            steps.read()
            self._report(steps, request, told)
        counted = {"samples": steps.samples, "read_samples": steps.read_samples}
        losses = {"first_loss": steps.first_loss, "sums": steps.sums}
        return {**counted, **losses}, np.asarray(steps.times_ms, "<f8").tobytes()

    def _report(self, steps: Stepper, request: dict[str, Any], told: int) -> int:
        """Sends an event if one is due since step `told`, and returns the step told last."""
        step, every = request["first_step"] + steps.steps, request["report_every"]
        loss = steps.reported[LOSS]
        if not math.isfinite(loss):
            raise DataError(
                "; ".join(
                    (
                        f"training diverged: the loss is {loss} at step {step}; the weights are "
                        "put back to the last checkpoint: scale the data, or set a smaller "
                        "learning rate",
                        *self._misfits,
                    )
                )
            )
        if step // every == told // every and step != request["steps_total"]:
            return told
        milliseconds = steps.times_ms[-1]
        event = {"event": "step", "step": step, "reported": steps.reported}
        self._send({**event, "milliseconds": milliseconds})
        return step

    def _evaluate(self, _request: dict[str, Any], _: memoryview) -> Reply:
        model, _train = self._loaded()
        if self._eval is None:
            raise DataError("no evaluation data: start the agent with --eval-data")
        manifest = model.manifest
        sums = {output.metric: 0.0 for output in manifest.outputs}
        known = len(self._eval)
        for batch in device_data.batches(self._eval, manifest, manifest.infer_batch_size):
            predictions = model.infer(batch.inputs)
            for output in manifest.outputs:
                found, wanted = predictions[output.name], batch.targets[output.target]
                scores = score(output, found[: batch.valid], wanted[: batch.valid])
                sums[output.metric] += float(scores.sum())
        for output in manifest.outputs:
            if manifest.classes and output.targets == "label":
                known = int((self._eval.targets[output.target] >= 0).sum())
        return {"samples": len(self._eval), "known_samples": known, "sums": sums}, b""

    def _save(self, _request: dict[str, Any], _: memoryview) -> Reply:
        model, _train = self._loaded()
        layout, blob = packed(model.save())
        return {"tensors": layout}, blob

    def _restore(self, request: dict[str, Any], blob: memoryview) -> Reply:
        model, _train = self._loaded()
        model.restore(unpacked(request["tensors"], blob))
        return {}, b""

    def _loaded(self) -> tuple[interpreter.Model | gpu_model.GpuModel, device_data.Dataset]:
        if self._model is None or self._train is None:
            raise WorkerError("worker: no model is loaded")
        return self._model, self._train


def _scaled(read: artifact.Artifact, scaling: list[float] | None) -> artifact.Artifact:
    """The model as if its file declared that scaling; as it is without one."""
    if scaling is None:
        return read
    declared = Scaling(*scaling).declared_in(read.manifest.preprocessing)
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

    def send(event: dict[str, Any]) -> None:
        with one_at_a_time:
            write_message(replies, event)

    worker = Worker(send, cancelled)
    while (message := read_message(requests)) is not None:
        request, blob = message
        if request.get("command") == "cancel":
            continue
        try:
            with heartbeat.Heartbeat(lambda: send({"event": "alive"}), heartbeat_s):
                reply, out = worker.answer(request, blob)
        except TfplusError as error:
            reply, out = {"error": type(error).__name__, "message": str(error)}, b""
        except Exception as error:
            text = f"{type(error).__name__}: {error}"
            write_message(replies, {"error": "WorkerError", "message": text, "last": True})
            raise
        write_message(replies, {**reply, "event": "reply"}, out)


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
            read_message(requests)
            return True

        try:
            serve(requests, replies, cancelled)
        except BrokenPipeError:
            sys.exit(0)


if __name__ == "__main__":
    main()
