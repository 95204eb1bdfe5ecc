"""Repetitions on an agent, as plain Python calls."""

from __future__ import annotations

from pathlib import Path

from tfplus.benchmark import messages
from tfplus.benchmark.repetition import INTERFERENCE, Answer, Request, Told
from tfplus.errors import RemoteError, WorkerError
from tfplus.fleet.clients.client import AgentClient
from tfplus.measure.result import Environment
from tfplus.proto.v1 import benchmark_pb2 as pb
from tfplus.proto.v1 import benchmark_pb2_grpc
from tfplus.wire.tls import TlsFiles

# For the call itself, beyond what the repetition may take.
_SPARE_S = 60.0


class BenchmarkClient(AgentClient):
    """A connection to one agent that measures; see `AgentClient`."""

    def __init__(
        self, address: str, tls: TlsFiles | None = None, *, insecure: bool = False
    ) -> None:
        super().__init__(address, tls, insecure=insecure)
        self._benchmarks = benchmark_pb2_grpc.BenchmarksStub(self._channel)

    def environment(self) -> tuple[Environment, int]:
        """The device, and the bytes of memory that a process may use there.

        Raises:
          RemoteError: the agent cannot be reached, or does not measure.
        """
        with self._errors():
            request = pb.DescribeDeviceRequest()
            told = self._benchmarks.DescribeDevice(request, timeout=self._timeout_s)
        return messages.from_description(told), told.usable_memory_bytes

    def measure(
        self,
        request: Request,
        model: Path,
        sha256: str,
        timeout_s: float,
        told: Told = lambda times: None,
    ) -> Answer:
        """Runs one repetition; closing the connection ends it.

        Args:
          request: what to run; the path in it is left to the agent.
          model: the file, sent where the agent lacks it.
          sha256: of the file.
          timeout_s: of the repetition, waiting for gates not counted.
          told: is given the times as they come.

        Raises:
          RemoteError: the agent cannot be reached, refused, or answered for another model.
          WorkerError: the repetition failed on the device.
        """
        sent = self.upload(model)
        if sent != sha256:
            raise RemoteError(
                f"{model}: changed while the campaign ran (was {sha256[:8]}, is {sent[:8]}): put "
                "the old one back, or begin anew in another folder"
            )
        # Blocks beside a co-runner end by the clock.
        beside = request.kind == INTERFERENCE
        most = messages.MOST_ITERATIONS if beside else request.iterations
        times: list[float] = []
        last: pb.BenchmarkSummary | None = None
        deadline_s = timeout_s + request.gates.timeout_s + _SPARE_S
        with self._errors():
            asked = messages.to_request(request, sha256, timeout_s)
            call = self._benchmarks.RunBenchmark(asked, timeout=deadline_s)
            try:
                for event in call:
                    if event.HasField("summary"):
                        last = event.summary
                        continue
                    times += event.iterations.milliseconds
                    if len(times) > most:
                        raise RemoteError(
                            f"agent {self.address}: expected {most} iterations at most, more came"
                        )
                    told(event.iterations.milliseconds)
            finally:
                call.cancel()
        if last is None:
            raise RemoteError(f"agent {self.address}: the repetition ended without its summary")
        if last.failure:
            raise WorkerError(last.failure)
        if last.model_sha256 != sha256:
            raise RemoteError(
                f"agent {self.address}: answered for the model {last.model_sha256[:8] or '?'}, "
                f"expected {sha256[:8]}: is its disk damaged, or another agent behind this address?"
            )
        return messages.from_summary(last, tuple(times))
