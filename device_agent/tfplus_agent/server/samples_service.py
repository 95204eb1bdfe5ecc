"""The Samples service: the store of labelled samples behind an agent's training data."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import grpc
import numpy as np

from tfplus.data import device_data
from tfplus.data.store import record
from tfplus.data.store.sample_store import Sample, SampleStore
from tfplus.errors import DataError, UsageError
from tfplus.features import forgetting, signature
from tfplus.proto.v1 import samples_pb2 as pb
from tfplus.proto.v1 import samples_pb2_grpc
from tfplus_agent.jobs.owner import DeviceOwner

MAX_LISTED = 10_000
_MOST_FORGOTTEN = 100_000
# Samples that are in memory together.
_AT_ONCE = 64
_MAX_NUMBER = 2**63 - 1


class SamplesService(samples_pb2_grpc.SamplesServicer):
    """Answers the calls of the Samples service; each is one of `SampleStore`.

    Args:
      data: the agent's training data.
      features: what frozen layers made of them lies there, if anything.
      owner: of the device: nobody makes features while some are removed.
    """

    def __init__(self, data: Path, features: Path, owner: DeviceOwner) -> None:
        self._data = data
        self._features = features
        self._owner = owner
        self._lock = threading.Lock()
        self._store: SampleStore | None = None

    def AddSample(  # noqa: N802
        self, request: pb.AddSampleRequest, context: grpc.ServicerContext
    ) -> pb.AddSampleResponse:
        """Stores a sample; it is on disk when this answers."""
        (added,) = self._opened().add_all([_sample(request)])
        return pb.AddSampleResponse(id=added.id, is_new=added.new, label=added.label)

    def ImportSamples(  # noqa: N802
        self, request_iterator: Iterator[pb.AddSampleRequest], context: grpc.ServicerContext
    ) -> pb.ImportSamplesResponse:
        """Stores many; all of them are on disk when this answers."""
        added = self._opened().add_all(map(_sample, request_iterator))
        new = sum(one.new for one in added)
        return pb.ImportSamplesResponse(stored=new, were_there=len(added) - new)

    def CorrectSample(  # noqa: N802
        self, request: pb.CorrectSampleRequest, context: grpc.ServicerContext
    ) -> pb.CorrectSampleResponse:
        """Gives a sample another label."""
        if not request.HasField("label"):
            raise UsageError("correct a sample: expected a label, got none")
        self._opened().correct(_number(request.id), request.label)
        return pb.CorrectSampleResponse()

    def ForgetSamples(  # noqa: N802
        self, request: pb.ForgetSamplesRequest, context: grpc.ServicerContext
    ) -> pb.ForgetSamplesResponse:
        """Removes samples and every trace of them, also what frozen layers made of them."""
        if len(request.ids) > _MOST_FORGOTTEN:
            raise UsageError(
                f"forget samples: expected at most {_MOST_FORGOTTEN} at once, got "
                f"{len(request.ids)}"
            )
        numbers, store = [_number(number) for number in request.ids], self._opened()
        with contextlib.ExitStack() as held:
            if self._features.is_dir():
                # Between two steps of a training, whose worker has then written what it made.
                held.enter_context(self._owner.operation("forgetting samples"))
                self._forget_features(store, numbers)
            return pb.ForgetSamplesResponse(forgotten=store.forget(numbers))

    def _forget_features(self, store: SampleStore, numbers: Sequence[int]) -> None:
        try:
            for start in range(0, len(numbers), _AT_ONCE):
                found = store.read(numbers[start : start + _AT_ONCE])
                keys = [key for x in found.values() for key in signature.keys(x[None])]
                forgetting.forget(self._features, keys)
        except (OSError, sqlite3.Error) as error:
            raise DataError(
                f"{self._features}: what was made of the samples cannot be removed: {error}; they "
                "are still there: try again, or end the agent and remove the folder, a cache"
            ) from None

    def ListSamples(  # noqa: N802
        self, request: pb.ListSamplesRequest, context: grpc.ServicerContext
    ) -> pb.ListSamplesResponse:
        """Lists samples without their values."""
        store, limit = self._opened(), min(request.limit, MAX_LISTED)
        form = store.form()
        listed = store.listed(_number(request.after), limit) if limit else []
        return pb.ListSamplesResponse(
            count=store.count(),
            dtype=form.dtype.name if form else "",
            shape=form.shape if form else (),
            samples=[pb.SampleListed(id=s.id, name=s.name, label=s.label) for s in listed],
        )

    def _opened(self) -> SampleStore:
        with self._lock:
            if self._store is None:
                if not device_data.grows(self._data):
                    raise DataError(
                        "this agent does not train on a store of samples: make one with `tfplus "
                        "samples add`, and start the agent with --data STORE"
                    )
                self._store = SampleStore(self._data)
            return self._store


def _sample(request: pb.AddSampleRequest) -> Sample:
    """The sample in a request; its values are a view of the request's bytes."""
    if not request.HasField("label"):
        raise UsageError("add a sample: expected a label, got none")
    form = record.form_named(request.dtype, tuple(request.shape))
    if form.size_bytes != len(request.values):
        raise DataError(
            f"the sample: expected {form.size_bytes} bytes of {form}, got {len(request.values)}"
        )
    x = np.frombuffer(request.values, form.dtype).reshape(form.shape)
    return Sample(x, request.label, request.name or None)


def _number(number: int) -> int:
    if number > _MAX_NUMBER:
        raise UsageError(f"sample {number}: no sample has such a number")
    return number
