"""The store of samples on an agent, from outside; the methods are those of `SampleStore`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from tfplus.data.store.samples import Added, Listed, Sample
from tfplus.errors import UsageError
from tfplus.fleet.clients.connection import Connection
from tfplus.proto.v1 import samples_pb2 as pb
from tfplus.proto.v1 import samples_pb2_grpc
from tfplus.wire.limits import DEFAULT_LIMITS, Limits
from tfplus.wire.tls import TlsFiles

_LISTED_AT_ONCE = 10_000
_MAX_LABEL = 2**31 - 1
# Of a message, beside the values of a sample.
_ENVELOPE_BYTES = 1024
# Storing waits for the agent's disk, forgetting writes its store anew.
_TIMEOUT_S = 600.0


class SamplesClient(Connection):
    """The samples of one agent; for what it is made with see `Connection`.

    Raises:
      RemoteError: in every method: the agent cannot be reached, or refused.
    """

    def __init__(
        self,
        address: str,
        tls: TlsFiles | None = None,
        *,
        insecure: bool = False,
        timeout_s: float = _TIMEOUT_S,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        super().__init__(address, tls, insecure=insecure, timeout_s=timeout_s, limits=limits)
        self._stub = samples_pb2_grpc.SamplesStub(self._channel)

    def __enter__(self) -> SamplesClient:
        return self

    def add(self, x: npt.NDArray[Any], label: int, name: str | None = None) -> Added:
        """Stores a sample; it is on the agent's disk when this returns.

        Args:
          x: its values, in a message of at most 4 MiB.
          label: its class.
          name: of the caller's choosing, unique; by default equal samples are stored once.

        Raises:
          UsageError: it is larger than a message may be, or the label is none.
        """
        request = self._request(Sample(x, label, name))
        with self._errors():
            told = self._stub.AddSample(request, timeout=self._timeout_s)
        return Added(told.id, told.is_new, told.label)

    def import_all(self, samples: Iterable[Sample]) -> tuple[int, int]:
        """Stores many samples; returns how many are new, and how many were there before.

        All are on the agent's disk when this returns. After an error some may be stored: called
        again, it stores the rest.

        Raises:
          UsageError: as `add` does.
        """
        failed: list[Exception] = []

        def requests() -> Iterator[pb.AddSampleRequest]:
            try:
                yield from map(self._request, samples)
            except Exception as error:
                # gRPC's own thread would lose it.
                failed.append(error)
                raise

        try:
            with self._errors():
                told = self._stub.ImportSamples(requests())
        except Exception:
            if failed:
                raise failed[0] from None
            raise
        return told.stored, told.were_there

    def correct(self, number: int, label: int) -> None:
        """Gives a sample another label; that is on the agent's disk when this returns."""
        request = pb.CorrectSampleRequest(id=number, label=_checked(label))
        with self._errors():
            self._stub.CorrectSample(request, timeout=self._timeout_s)

    def forget(self, numbers: Iterable[int]) -> int:
        """Removes samples; when this returns, no byte of them is left in the agent's store.

        Returns:
          How many of them there were.
        """
        with self._errors():
            request = pb.ForgetSamplesRequest(ids=list(numbers))
            return self._stub.ForgetSamples(request, timeout=self._timeout_s).forgotten

    def listed(self, after: int = 0, limit: int | None = None) -> list[Listed]:
        """Samples in the order in which they were added, without their values.

        Args:
          after: leave out numbers up to this one.
          limit: at most so many; None for all.
        """
        found: list[Listed] = []
        while limit is None or len(found) < limit:
            left = _LISTED_AT_ONCE if limit is None else min(limit - len(found), _LISTED_AT_ONCE)
            some = self._list(found[-1].id if found else after, left).samples
            found.extend(Listed(s.id, s.name, s.label) for s in some)
            if len(some) < left:
                break
        return found

    def about(self) -> tuple[int, tuple[int, ...] | None, str | None]:
        """How many samples there are, and shape and dtype of one; None while there is none."""
        told = self._list(0, 0)
        return told.count, tuple(told.shape) if told.dtype else None, told.dtype or None

    def _list(self, after: int, limit: int) -> pb.ListSamplesResponse:
        with self._errors():
            request = pb.ListSamplesRequest(after=after, limit=limit)
            return self._stub.ListSamples(request, timeout=self._timeout_s)

    def _request(self, sample: Sample) -> pb.AddSampleRequest:
        x = np.asarray(sample.x)
        most = self._limits.message_bytes - _ENVELOPE_BYTES
        if x.nbytes > most:
            raise UsageError(
                f"a sample of {x.nbytes} bytes: over the network at most {most} are taken: add it "
                "on the device itself (tfplus samples add STORE)"
            )
        little = np.ascontiguousarray(x, x.dtype.newbyteorder("<"))
        return pb.AddSampleRequest(
            dtype=x.dtype.name,
            shape=x.shape,
            values=little.tobytes(),
            label=_checked(sample.label),
            name=sample.name or "",
        )


def _checked(label: int) -> int:
    if not 0 <= label <= _MAX_LABEL:
        raise UsageError(f"label {label}: expected an integer from 0 to {_MAX_LABEL}")
    return label
