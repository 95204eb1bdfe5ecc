"""A server of features as a process: opened, served, stopped."""

from __future__ import annotations

from collections.abc import Callable
from concurrent import futures
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from tfplus.feature_server.freeze_policy import Policy, one_standard_error
from tfplus.feature_server.publisher import Publisher
from tfplus.feature_server.service import FeatureService
from tfplus.feature_server.state.store import Store
from tfplus.feature_server.trainer import Trainer, TrainingPolicy
from tfplus.model_file import artifact
from tfplus.proto.v1 import features_pb2_grpc
from tfplus.wire import listening
from tfplus.wire import tls as wire_tls
from tfplus.wire.tls import TlsFiles

# Calls under way; each holds a batch of at most 64 MiB. The others wait.
_WORKERS = 16
_GRACE_S = 5.0


@dataclass(frozen=True)
class ServerConfig:
    """How a server is started.

    Attributes:
      model: a file whose head is trained.
      state: of samples and versions: a folder, or the URL of a data base of PostgreSQL.
      listen: `host:port`; port 0 takes a free one.
      tls: own certificate files; None for plaintext.
      insecure: plaintext also where others can listen.
      policy: when and how the head is trained.
      others: files of the same model that are cut at other layers; one of all is served.
      choose: which one, by what was measured, at the start and before each training.
    """

    model: Path
    state: Path | str
    listen: str = "127.0.0.1:50061"
    tls: TlsFiles | None = None
    insecure: bool = False
    policy: TrainingPolicy = field(default_factory=TrainingPolicy)
    others: tuple[Path, ...] = ()
    choose: Policy = one_standard_error


class FeatureServer:
    """Serves from `start` to `stop`.

    Args:
      config: what it is started with.
      told: of versions, and of what is refused.

    Raises:
      RemoteError: nothing can listen on that address.
      TfplusError: the model or the state cannot be opened.
      UsageError: the address is malformed, or plaintext would leave this machine.

    Attributes:
      publisher: of versions.
      trainer: of the next one.
      why: the file that is served at the start was chosen; empty where there was no choice.
      address: `host:port`.
    """

    def __init__(self, config: ServerConfig, told: Callable[[str], None] = lambda _: None) -> None:
        host, _ = wire_tls.split_address(config.listen)
        if config.tls is None:
            wire_tls.require_loopback_or_insecure(host, config.insecure)
        self._store = Store(config.state)
        try:
            files = [artifact.read(path) for path in (config.model, *config.others)]
            self.publisher = Publisher(files, self._store)
            self.trainer = Trainer(self.publisher, self._store, config.policy, config.choose, told)
            self.why = self.trainer.reconsider()
            self._server: Any = grpc.server(
                futures.ThreadPoolExecutor(_WORKERS, "calls"), options=wire_tls.server_options()
            )
            arrived = self.trainer.arrived
            service = FeatureService(self.publisher, self._store, config.tls, arrived, told)
            features_pb2_grpc.add_FeatureServerServicer_to_server(service, self._server)
            port = listening.bind(self._server, config.listen, config.tls)
        except BaseException:
            self._store.close()
            raise
        self.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def start(self) -> None:
        """Serves, and trains as samples come."""
        self.trainer.start()
        self._server.start()

    def stop(self) -> None:
        """Ends calls under way and a training; then returns."""
        self._server.stop(_GRACE_S).wait()
        self.trainer.stop()
        self._store.close()
