"""Talking to a server of features, as plain Python calls; bytes are counted both ways."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tfplus.errors import RemoteError
from tfplus.fleet.clients.connection import Connection
from tfplus.proto.v1 import features_pb2 as pb
from tfplus.proto.v1 import features_pb2_grpc
from tfplus.proto.v1 import tensors_pb2 as tensors_pb
from tfplus.system.files import sha256_of, write_atomic
from tfplus.tensors.slice_set import SliceSet
from tfplus.tensors.slices import Tensor, Tensors
from tfplus.wire import tensors
from tfplus.wire.limits import DEFAULT_LIMITS, Limits
from tfplus.wire.tls import TlsFiles

_SLOWEST_BYTES_PER_S = 50_000


class FeatureClient(Connection):
    """A connection to one server; close it, or use it as a context manager.

    Attributes:
      sent_bytes: of messages.
      received_bytes: of messages.
    """

    def __init__(
        self,
        address: str,
        tls: TlsFiles | None = None,
        *,
        insecure: bool = False,
        timeout_s: float = 120.0,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        super().__init__(address, tls, insecure=insecure, timeout_s=timeout_s, limits=limits)
        self._stub = features_pb2_grpc.FeatureServerStub(self._channel)
        self.sent_bytes = self.received_bytes = 0

    def __enter__(self) -> FeatureClient:
        return self

    def published(self) -> pb.Published:
        """What the server publishes now.

        Raises:
          RemoteError: it cannot be reached, or refused.
        """
        with self._errors():
            request = pb.DescribePublishedRequest()
            told = self._stub.DescribePublished(request, timeout=self._timeout_s)
        self.sent_bytes += request.ByteSize()
        self.received_bytes += told.ByteSize()
        return told

    def flush(
        self, header: pb.FlushFeaturesHeader, rows: npt.NDArray[np.float32]
    ) -> pb.FlushFeaturesResponse:
        """Sends a batch of features; the server has it on disk when this returns.

        Args:
          header: all but the hash, which is set here.
          rows: [n, ...].

        Raises:
          RemoteError: the server cannot be reached, or refused.
        """
        raw = np.ascontiguousarray(rows, "<f4").tobytes()
        header.sha256 = hashlib.sha256(raw).digest()
        size = self._limits.chunk_bytes
        messages = [
            pb.FlushFeaturesPart(header=header),
            *(pb.FlushFeaturesPart(chunk=raw[i : i + size]) for i in range(0, len(raw), size)),
        ]
        timeout_s = self._timeout_s + len(raw) / _SLOWEST_BYTES_PER_S
        with self._errors():
            answer = self._stub.FlushFeatures(iter(messages), timeout=timeout_s)
        self.sent_bytes += sum(message.ByteSize() for message in messages)
        self.received_bytes += answer.ByteSize()
        return answer

    def pull(self, version: int, held: Tensors) -> tuple[dict[str, Tensor], list[str]]:
        """Fetches the weights of a version; what is held already is not sent.

        Args:
          version: a published one.
          held: name → array, what there is here.

        Returns:
          All weights by name; names of those that came.

        Raises:
          RemoteError: the server cannot be reached, or refused.
          TensorError: what came does not match its hashes, or passes a cap.
        """
        hashes = SliceSet.of(held).hashes()
        request = pb.PullWeightsRequest(version=version, held=list(hashes.values()))
        self.sent_bytes += request.ByteSize()
        by_hash: Mapping[bytes, Tensor] = {hashes[name]: held[name] for name in held}
        came: list[str] = []

        def counted(
            stream: Iterator[tensors_pb.TensorSetPart],
        ) -> Iterator[tensors_pb.TensorSetPart]:
            for part in stream:
                self.received_bytes += part.ByteSize()
                came.extend(spec.name for spec in part.header.tensors if not spec.unchanged)
                yield part

        with self._errors():
            call = self._stub.PullWeights(request, timeout=self._timeout_s)
            values = tensors.from_parts(counted(call), held=by_hash, limits=self._limits)
        return values, came

    def download(self, published: pb.Published, path: Path) -> None:
        """Fetches the whole file; it is there once it is whole and its hash is right.

        Args:
          published: as the server described it.
          path: where to.

        Raises:
          RemoteError: the server cannot be reached, or what came is not what it described.
          OSError: the file cannot be written.
        """
        size = published.model_bytes
        if size > self._limits.model_bytes:
            raise RemoteError(f"server {self.address}: a model of {size} bytes is above the limit")
        request = pb.DownloadModelRequest(sha256=published.model_sha256)
        aside = path.with_name(f"{path.name}.download")
        self.sent_bytes += request.ByteSize()
        timeout_s = self._timeout_s + size / _SLOWEST_BYTES_PER_S
        try:
            with self._errors():
                call = self._stub.DownloadModel(request, timeout=timeout_s)
                write_atomic(aside, self._pieces(call, size))
            if sha256_of(aside) != published.model_sha256:
                raise RemoteError(f"server {self.address}: the model does not match its SHA-256")
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)

    def _pieces(self, call: Iterator[pb.ModelChunk], size: int) -> Iterator[bytes]:
        left = size
        for message in call:
            self.received_bytes += message.ByteSize()
            left -= len(message.chunk)
            if left < 0 or not message.chunk:
                break
            yield message.chunk
        if left:
            raise RemoteError(f"server {self.address}: expected a model of {size} bytes")


def header_of(
    batch_id: str,
    device: str,
    made: tuple[str, str],
    shape: Sequence[int],
    samples: Sequence[bytes],
    labels: Sequence[int],
    note: str = "",
) -> pb.FlushFeaturesHeader:
    """The header of a batch, without its hash.

    Args:
      batch_id: the same each time that the batch is sent.
      device: in plaintext; empty for the certificate's name.
      made: hashes of what made the features, and of the hyper-parameters.
      shape: of one sample.
      samples: keys.
      labels: one for each.
      note: what was done to the features before.
    """
    return pb.FlushFeaturesHeader(
        batch_id=batch_id,
        device=device,
        maker=made[0],
        hyper=made[1],
        shape=shape,
        samples=samples,
        labels=labels,
        note=note,
    )
