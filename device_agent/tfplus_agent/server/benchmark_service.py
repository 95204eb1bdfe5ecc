"""The Benchmarks service: repetitions of a campaign, each in a process of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import grpc

from tfplus.errors import UsageError, WorkerError
from tfplus.proto.v1 import benchmark_pb2 as pb
from tfplus.proto.v1 import benchmark_pb2_grpc
from tfplus.system import memory
from tfplus_agent.device import retention
from tfplus_agent.device.device import Device
from tfplus_agent.server.callers.calls import CallContext
from tfplus_agent.server.callers.event_stream import Mailbox

if TYPE_CHECKING:
    from tfplus.benchmark.own_process import OwnProcess

_MOST_PIECE = 4096


class BenchmarkService(benchmark_pb2_grpc.BenchmarksServicer):
    """Answers the calls of the Benchmarks service.

    What measures is imported by its methods: few daemons ever need it.

    Args:
      device: whose owner decides when a repetition may run.
    """

    def __init__(self, device: Device) -> None:
        self._device = device
        self._lock = threading.Lock()
        self._running: OwnProcess | None = None
        self._closing = False

    def DescribeDevice(  # noqa: N802
        self, request: pb.DescribeDeviceRequest, context: grpc.ServicerContext
    ) -> pb.DeviceDescription:
        """What this machine is."""
        from tfplus.benchmark import messages
        from tfplus.measure import environment

        return messages.to_description(environment.read(), memory.total_bytes())

    def RunBenchmark(  # noqa: N802
        self, request: pb.RunBenchmarkRequest, context: CallContext
    ) -> Iterator[pb.BenchmarkEvent]:
        """Runs one repetition and streams its iterations; a caller that leaves ends it."""
        from tfplus.benchmark import messages
        from tfplus.benchmark.own_process import OwnProcess
        from tfplus.benchmark.repetition import LEARNING

        device = self._device
        found = device.models.open(request.model_sha256)
        asked = messages.from_request(request, str(found.path))
        if asked.kind == LEARNING:
            # Samples never leave their device, so they are its own.
            eval_data = "" if device.eval_data is None else str(device.eval_data)
            asked = replace(asked, data=str(device.data), eval_data=eval_data)
        # A repetition trains nothing that is kept, yet must be alone: so it asks as a change does.
        with device.owner.operation("a benchmark", changes=True, long=True):
            retention.note_measured(
                device.models, device.state_dir, found.sha256, device.model_sha256
            )
            gates = device.gates
            # What holds the owner's own training back holds this back, too.
            gates.wait(lambda: not context.is_active())
            try:
                yield from self._run(OwnProcess(asked, request.timeout_s), context)
            finally:
                gates.trained()

    def stop(self) -> None:
        """Ends the repetition under way, and lets none begin."""
        with self._lock:
            self._closing = True
            if self._running is not None:
                self._running.kill()

    def _run(self, process: OwnProcess, context: CallContext) -> Iterator[pb.BenchmarkEvent]:
        from tfplus.benchmark import messages

        with self._lock:
            if self._closing:
                raise UsageError("the agent ends: nothing can be measured on it now")
            self._running = process
        mailbox: Mailbox[pb.BenchmarkEvent] = Mailbox(capacity=messages.MOST_ITERATIONS)

        def told(times: Sequence[float]) -> None:
            for at in range(0, len(times), _MOST_PIECE):
                piece = pb.BenchmarkIterations(milliseconds=times[at : at + _MOST_PIECE])
                mailbox.put(pb.BenchmarkEvent(iterations=piece))

        def work() -> pb.BenchmarkEvent:
            try:
                summary = messages.to_summary(process.run(told))
            except WorkerError as error:
                summary = pb.BenchmarkSummary(failure=str(error))
            return pb.BenchmarkEvent(summary=summary)

        if not context.add_callback(process.kill):
            process.kill()
        # The kernel ends a process with the thread that began it: this one lasts as long.
        worker = threading.Thread(target=mailbox.run, args=(work,), name="benchmark", daemon=True)
        worker.start()
        try:
            yield from mailbox
        finally:
            process.kill()
            worker.join()
            with self._lock:
                self._running = None
