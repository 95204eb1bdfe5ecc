"""The FeatureServer service: what devices call."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc

from tfplus.errors import NotPermittedError, RefusedBatchError, TfplusError, UsageError
from tfplus.feature_server import checking
from tfplus.feature_server.publisher import Publisher
from tfplus.feature_server.state.store import Store
from tfplus.proto.v1 import features_pb2 as pb
from tfplus.proto.v1 import features_pb2_grpc
from tfplus.proto.v1 import tensors_pb2 as tensors_pb
from tfplus.wire import roles, tensors
from tfplus.wire.limits import DEFAULT_LIMITS
from tfplus.wire.tls import TlsFiles, peer_name

_MAX_DETAILS_CHARS = 2000


class FeatureService(features_pb2_grpc.FeatureServerServicer):
    """Answers calls; any thread.

    Args:
      publisher: of versions.
      store: of samples.
      tls: own files, beside which the list of revoked certificates lies; None in plaintext.
      arrived: called when samples came.
      told: of what is refused.
    """

    def __init__(
        self,
        publisher: Publisher,
        store: Store,
        tls: TlsFiles | None,
        arrived: Callable[[], None],
        told: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._publisher, self._store, self._tls = publisher, store, tls
        self._arrived, self._told = arrived, told

    def DescribePublished(  # noqa: N802
        self, request: pb.DescribePublishedRequest, context: grpc.ServicerContext
    ) -> pb.Published:
        """What is published now."""
        return self._answered(context, lambda _: self._published(), may=roles.ROLES)

    def FlushFeatures(  # noqa: N802
        self, request_iterator: Iterator[pb.FlushFeaturesPart], context: grpc.ServicerContext
    ) -> pb.FlushFeaturesResponse:
        """Keeps a batch; it is on disk when this answers."""

        def keep(device: str) -> pb.FlushFeaturesResponse:
            batch = checking.read(request_iterator, device, *self._publisher.accepted)
            was_present = self._store.add(batch)
            self._arrived()
            held = self._store.count(batch.maker, batch.hyper)
            return pb.FlushFeaturesResponse(was_present=was_present, samples=held)

        return self._answered(context, keep)

    def PullWeights(  # noqa: N802
        self, request: pb.PullWeightsRequest, context: grpc.ServicerContext
    ) -> Iterator[tensors_pb.TensorSetPart]:
        """The tensors of a version that the caller does not hold."""

        def pull(_: str) -> Iterator[tensors_pb.TensorSetPart]:
            if len(request.held) > DEFAULT_LIMITS.tensors:
                raise UsageError(f"expected at most {DEFAULT_LIMITS.tensors} hashes")
            values = self._publisher.weights(request.version)
            return tensors.to_parts(values, known=frozenset(request.held))

        yield from self._answered(context, pull)

    def DownloadModel(  # noqa: N802
        self, request: pb.DownloadModelRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.ModelChunk]:
        """The whole file."""

        def found(_: str) -> Path:
            # Also one that is not published any more: who was told of it is served.
            return self._publisher.file(request.sha256).read.path

        with self._answered(context, found).open("rb") as file:
            while chunk := file.read(DEFAULT_LIMITS.chunk_bytes):
                yield pb.ModelChunk(chunk=chunk)

    def _published(self) -> pb.Published:
        version = self._publisher.version
        file = self._publisher.file(version.model_sha256)
        wanted = file.wanted
        return pb.Published(
            version=version.number,
            published_s=version.published_s,
            model_sha256=file.read.sha256,
            model_bytes=file.read.size_bytes,
            makers=file.makers,
            layer=file.layer,
            hyper=wanted.hyper,
            samples=self._store.count(wanted.maker, wanted.hyper),
            trained_samples=version.samples,
        )

    def _answered(
        self,
        context: grpc.ServicerContext,
        work: Callable[[str], Any],
        may: tuple[str, ...] = ("owner", "peer"),
    ) -> Any:
        """What `work` makes of the caller's name; its errors become those of the call."""
        name = peer_name(context) or ""
        try:
            self._admit(context, name, may)
            return work(name)
        except TfplusError as error:
            if isinstance(error, (RefusedBatchError, NotPermittedError)):
                self._told(str(error))
                self._store.refused(name, str(error))
            context.abort(grpc.StatusCode[error.status], str(error)[:_MAX_DETAILS_CHARS])

    def _admit(self, context: grpc.ServicerContext, name: str, may: tuple[str, ...]) -> None:
        auth: Any = context.auth_context()
        pem = next(iter(auth.get("x509_pem_cert", ())), None)
        if pem is None or self._tls is None:
            return
        try:
            revoked = self._tls.revoked
            held = roles.read_revoked(revoked) if revoked.exists() else frozenset[str]()
        except (UsageError, OSError) as error:
            raise NotPermittedError(str(error)) from None
        if roles.fingerprint(pem) in held:
            raise NotPermittedError(f"the certificate of '{name}' was revoked: ask for a new one")
        role = roles.role_of(auth)
        if role not in may:
            raise NotPermittedError(f"'{name}' is a {role}: expected a certificate of a peer")
