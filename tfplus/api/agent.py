"""`tfplus.Agent`: a device that trains on its own data, from a notebook."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

from tfplus.data.scaling import Scaling
from tfplus.errors import RemoteError
from tfplus.fleet.clients.client import AgentClient
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus.tensors.slices import Tensor, Tensors
from tfplus.wire.tls import TlsFiles


class Agent:
    """A connection to one agent; close it, or use it as a context manager.

    Args:
      address: `host:port`.
      tls_dir: own certificates, as `tfplus certs issue` writes them; None for plaintext.
      insecure: allow plaintext to a host that is not this machine.
      timeout_s: of a call, other than training, which takes as long as it takes.

    Raises:
      UsageError: the address is malformed, or plaintext would leave this machine.

    Examples:
        >>> import tfplus
        >>> with tfplus.Agent(address) as agent:
        ...     resumed_at = agent.load(path).resumed_at_step
        ...     summary = agent.train(epochs=1, seed=1)
        ...     weights = agent.weights("shared")
        >>> resumed_at, summary.steps
        (0, 10)
    """

    def __init__(
        self,
        address: str,
        *,
        tls_dir: str | Path | None = None,
        insecure: bool = False,
        timeout_s: float = 120.0,
    ) -> None:
        tls = None if tls_dir is None else TlsFiles.load(Path(tls_dir))
        self.address = address
        self._client = AgentClient(address, tls, insecure=insecure, timeout_s=timeout_s)

    def __enter__(self) -> Agent:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection."""
        self._client.close()

    def status(self) -> pb.AgentStatus:
        """What the agent is and does: name, model, steps, samples, memory.

        Raises:
          RemoteError: it cannot be reached; here and in every method.
        """
        return self._client.status()

    def upload(self, path: str | Path) -> str:
        """Sends an exported file, unless the agent has it; returns its address there.

        Raises:
          ArtifactError: it is no exported file.
        """
        return self._client.upload(Path(path))

    def load(
        self,
        path: str | Path,
        *,
        threads: int = 0,
        fresh: bool = False,
        scale: float | None = None,
        offset: float = 0.0,
    ) -> pb.LoadModelResponse:
        """Sends an exported file and loads it; training goes on from its last checkpoint there.

        Args:
          path: of the file.
          threads: of the interpreter; 0 for the agent's own setting.
          fresh: start from the weights in the file.
          scale: what the model gets of a stored value is value * scale + offset, instead of what
            the file declares.
          offset: see `scale`.
        """
        scaling = None if scale is None else Scaling(scale, offset)
        sha256 = self.upload(path)
        return self._client.load(sha256, threads=threads, fresh=fresh, scaling=scaling)

    def train(
        self,
        epochs: int = 1,
        *,
        seed: int = 0,
        max_steps: int = 0,
        on_step: Callable[[pb.TrainStep], None] | None = None,
    ) -> pb.TrainSummary:
        """Trains on the agent's data; the weights are on its disk when this returns.

        Args:
          epochs: passes over its data.
          seed: of the samples' order.
          max_steps: stop after so many; 0 for whole epochs.
          on_step: called with every step. What it raises ends the training, which keeps what it
            learned.
        """
        report_every = 1 if on_step is not None else 1000
        events = self._client.train(
            epochs, seed=seed, max_steps=max_steps, report_every=report_every
        )
        for event in events:
            if event.HasField("summary"):
                return event.summary
            if on_step is not None:
                on_step(event.step)
        raise RemoteError(f"agent {self.address}: ended the training without a summary")

    def evaluate(self) -> dict[str, float]:
        """Measures the model on the agent's evaluation data: name → mean over its samples."""
        return dict(self._client.evaluate().metrics)

    def weights(self, *prefixes: str, include_optimizer: bool = False) -> dict[str, Tensor]:
        """Fetches weights by the names of their slices.

        Args:
          prefixes: such as `shared` or `task/3`; all where none is given.
          include_optimizer: also what the optimizer keeps.
        """
        chosen: Sequence[str] = prefixes
        return self._client.weights(chosen, include_optimizer=include_optimizer)

    def set_weights(self, values: Tensors) -> None:
        """Sets some or all weights; they are on the agent's disk when this returns."""
        self._client.set_weights(values)
