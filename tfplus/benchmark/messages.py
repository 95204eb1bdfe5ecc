"""Repetitions as messages of protobuf, and back."""

from __future__ import annotations

from collections.abc import Mapping

from tfplus.benchmark.repetition import KINDS, PRIORITIES, Answer, Gates, Operation, Request
from tfplus.errors import RemoteError, UsageError
from tfplus.measure.result import Environment, Scalar
from tfplus.proto.v1 import benchmark_pb2 as pb
from tfplus.runtime import accelerators, interpreter

MOST_ITERATIONS = 1_000_000
MOST_OPERATIONS = 100_000
_MOST_SECONDS = 7 * 86_400.0
_TEXTS = ("device", "os", "cpu_model", "governor", "tfplus_commit")


def to_request(request: Request, model_sha256: str, timeout_s: float) -> pb.RunBenchmarkRequest:
    """What is asked of an agent."""
    gates = request.gates
    return pb.RunBenchmarkRequest(
        model_sha256=model_sha256,
        phase=request.phase,
        threads=request.threads,
        iterations=request.iterations,
        seconds=request.seconds,
        kind=request.kind,
        accelerator=request.accelerator,
        priority=request.priority,
        co_runner=request.co_runner,
        idle_s=request.idle_s,
        gates=pb.BenchmarkGates(
            min_battery_percent=gates.min_battery_percent,
            max_celsius=gates.max_celsius,
            not_throttled=gates.not_throttled,
            max_load=gates.max_load,
            timeout_s=gates.timeout_s,
        ),
        timeout_s=timeout_s,
    )


def from_request(told: pb.RunBenchmarkRequest, path: str) -> Request:
    """What an agent is asked, checked.

    Args:
      told: from anybody.
      path: of the model on this device.

    Raises:
      UsageError: a value is out of its range.
    """
    for name, value, known in (
        ("phase", told.phase, ("train", "infer")),
        ("kind", told.kind, KINDS),
        ("accelerator", told.accelerator, (accelerators.CPU, accelerators.GPU)),
        ("priority", told.priority, PRIORITIES),
    ):
        if value not in known:
            raise UsageError(f"{name} '{value}': expected one of {', '.join(known)}")
    for name, count, most in (
        ("threads", told.threads, interpreter.MAX_THREADS),
        ("iterations", told.iterations, MOST_ITERATIONS),
    ):
        if not 1 <= count <= most:
            raise UsageError(f"{name}: expected 1 to {most}, got {count}")
    gates = told.gates
    for name, seconds in (
        ("seconds", told.seconds),
        ("idle_s", told.idle_s),
        ("timeout_s", told.timeout_s),
        ("gates.timeout_s", gates.timeout_s),
    ):
        if not 0 <= seconds <= _MOST_SECONDS:
            raise UsageError(f"{name}: expected 0 to {_MOST_SECONDS:g} seconds, got {seconds}")

    def told_of(name: str) -> float | None:
        return getattr(gates, name) if gates.HasField(name) else None

    return Request(
        path=path,
        phase=told.phase,
        threads=told.threads,
        iterations=told.iterations,
        seconds=told.seconds,
        kind=told.kind,
        accelerator=told.accelerator,
        priority=told.priority,
        co_runner=told.co_runner,
        idle_s=told.idle_s,
        gates=Gates(
            told_of("min_battery_percent"),
            told_of("max_celsius"),
            gates.not_throttled,
            told_of("max_load"),
            gates.timeout_s,
        ),
    )


def to_summary(answer: Answer) -> pb.BenchmarkSummary:
    """What a repetition says at its end; the iterations went before."""
    return pb.BenchmarkSummary(
        model_sha256=answer.model_sha256,
        runtime=answer.runtime,
        values={name: _value(v) for name, v in answer.values.items() if v is not None},
        absent=answer.absent,
        operations=[
            pb.BenchmarkOperation(
                operation=o.operation, layer=o.layer, phase=o.phase, milliseconds=o.ms
            )
            for o in answer.operations
        ],
    )


def from_summary(told: pb.BenchmarkSummary, times: tuple[float, ...]) -> Answer:
    """The answer of a repetition.

    Raises:
      RemoteError: it has more operations than any model.
    """
    if len(told.operations) > MOST_OPERATIONS:
        raise RemoteError(f"expected at most {MOST_OPERATIONS} operations, more came")
    operations = (Operation(o.operation, o.layer, o.phase, o.milliseconds) for o in told.operations)
    return Answer(
        told.runtime,
        times,
        _values(told.values),
        dict(told.absent),
        tuple(operations),
        told.model_sha256,
    )


def to_description(of: Environment, usable_memory_bytes: int) -> pb.DeviceDescription:
    """What a device says of itself."""
    texts = {name: getattr(of, name) for name in _TEXTS}
    return pb.DeviceDescription(
        **{name: text for name, text in texts.items() if text is not None},
        architecture=of.architecture,
        kernel=of.kernel,
        cores=of.cores,
        memory_bytes=of.memory_bytes,
        python=of.python,
        tfplus_version=of.tfplus_version,
        absent=of.absent,
        usable_memory_bytes=usable_memory_bytes,
    )


def from_description(told: pb.DeviceDescription) -> Environment:
    """What a device said of itself."""

    def text(name: str) -> str | None:
        return getattr(told, name) if told.HasField(name) else None

    return Environment(
        device=text("device"),
        architecture=told.architecture,
        os=text("os"),
        kernel=told.kernel,
        cpu_model=text("cpu_model"),
        cores=told.cores,
        governor=text("governor"),
        memory_bytes=told.memory_bytes if told.HasField("memory_bytes") else None,
        python=told.python,
        tfplus_version=told.tfplus_version,
        tfplus_commit=text("tfplus_commit"),
        absent=dict(told.absent),
    )


def _value(value: Scalar) -> pb.BenchmarkValue:
    if isinstance(value, bool):
        return pb.BenchmarkValue(flag=value)
    if isinstance(value, int):
        return pb.BenchmarkValue(integer=value)
    if isinstance(value, float):
        return pb.BenchmarkValue(number=value)
    return pb.BenchmarkValue(text=str(value))


def _values(told: Mapping[str, pb.BenchmarkValue]) -> dict[str, Scalar]:
    kinds = {name: value.WhichOneof("value") for name, value in told.items()}
    return {name: getattr(told[name], kind) for name, kind in kinds.items() if kind is not None}
