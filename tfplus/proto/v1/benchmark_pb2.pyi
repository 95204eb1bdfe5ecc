from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DescribeDeviceRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class DeviceDescription(_message.Message):
    __slots__ = ("device", "architecture", "os", "kernel", "cpu_model", "cores", "governor", "memory_bytes", "python", "tfplus_version", "tfplus_commit", "absent", "usable_memory_bytes")
    class AbsentEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    ARCHITECTURE_FIELD_NUMBER: _ClassVar[int]
    OS_FIELD_NUMBER: _ClassVar[int]
    KERNEL_FIELD_NUMBER: _ClassVar[int]
    CPU_MODEL_FIELD_NUMBER: _ClassVar[int]
    CORES_FIELD_NUMBER: _ClassVar[int]
    GOVERNOR_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    PYTHON_FIELD_NUMBER: _ClassVar[int]
    TFPLUS_VERSION_FIELD_NUMBER: _ClassVar[int]
    TFPLUS_COMMIT_FIELD_NUMBER: _ClassVar[int]
    ABSENT_FIELD_NUMBER: _ClassVar[int]
    USABLE_MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    device: str
    architecture: str
    os: str
    kernel: str
    cpu_model: str
    cores: int
    governor: str
    memory_bytes: int
    python: str
    tfplus_version: str
    tfplus_commit: str
    absent: _containers.ScalarMap[str, str]
    usable_memory_bytes: int
    def __init__(self, device: _Optional[str] = ..., architecture: _Optional[str] = ..., os: _Optional[str] = ..., kernel: _Optional[str] = ..., cpu_model: _Optional[str] = ..., cores: _Optional[int] = ..., governor: _Optional[str] = ..., memory_bytes: _Optional[int] = ..., python: _Optional[str] = ..., tfplus_version: _Optional[str] = ..., tfplus_commit: _Optional[str] = ..., absent: _Optional[_Mapping[str, str]] = ..., usable_memory_bytes: _Optional[int] = ...) -> None: ...

class BenchmarkGates(_message.Message):
    __slots__ = ("min_battery_percent", "max_celsius", "not_throttled", "max_load", "timeout_s")
    MIN_BATTERY_PERCENT_FIELD_NUMBER: _ClassVar[int]
    MAX_CELSIUS_FIELD_NUMBER: _ClassVar[int]
    NOT_THROTTLED_FIELD_NUMBER: _ClassVar[int]
    MAX_LOAD_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_S_FIELD_NUMBER: _ClassVar[int]
    min_battery_percent: float
    max_celsius: float
    not_throttled: bool
    max_load: float
    timeout_s: float
    def __init__(self, min_battery_percent: _Optional[float] = ..., max_celsius: _Optional[float] = ..., not_throttled: bool = ..., max_load: _Optional[float] = ..., timeout_s: _Optional[float] = ...) -> None: ...

class RunBenchmarkRequest(_message.Message):
    __slots__ = ("model_sha256", "phase", "threads", "iterations", "seconds", "kind", "accelerator", "priority", "co_runner", "idle_s", "gates", "timeout_s")
    MODEL_SHA256_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    THREADS_FIELD_NUMBER: _ClassVar[int]
    ITERATIONS_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    ACCELERATOR_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    CO_RUNNER_FIELD_NUMBER: _ClassVar[int]
    IDLE_S_FIELD_NUMBER: _ClassVar[int]
    GATES_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_S_FIELD_NUMBER: _ClassVar[int]
    model_sha256: str
    phase: str
    threads: int
    iterations: int
    seconds: float
    kind: str
    accelerator: str
    priority: str
    co_runner: str
    idle_s: float
    gates: BenchmarkGates
    timeout_s: float
    def __init__(self, model_sha256: _Optional[str] = ..., phase: _Optional[str] = ..., threads: _Optional[int] = ..., iterations: _Optional[int] = ..., seconds: _Optional[float] = ..., kind: _Optional[str] = ..., accelerator: _Optional[str] = ..., priority: _Optional[str] = ..., co_runner: _Optional[str] = ..., idle_s: _Optional[float] = ..., gates: _Optional[_Union[BenchmarkGates, _Mapping]] = ..., timeout_s: _Optional[float] = ...) -> None: ...

class BenchmarkEvent(_message.Message):
    __slots__ = ("iterations", "summary")
    ITERATIONS_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    iterations: BenchmarkIterations
    summary: BenchmarkSummary
    def __init__(self, iterations: _Optional[_Union[BenchmarkIterations, _Mapping]] = ..., summary: _Optional[_Union[BenchmarkSummary, _Mapping]] = ...) -> None: ...

class BenchmarkIterations(_message.Message):
    __slots__ = ("milliseconds",)
    MILLISECONDS_FIELD_NUMBER: _ClassVar[int]
    milliseconds: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, milliseconds: _Optional[_Iterable[float]] = ...) -> None: ...

class BenchmarkValue(_message.Message):
    __slots__ = ("text", "integer", "number", "flag")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    INTEGER_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    FLAG_FIELD_NUMBER: _ClassVar[int]
    text: str
    integer: int
    number: float
    flag: bool
    def __init__(self, text: _Optional[str] = ..., integer: _Optional[int] = ..., number: _Optional[float] = ..., flag: bool = ...) -> None: ...

class BenchmarkOperation(_message.Message):
    __slots__ = ("operation", "layer", "phase", "milliseconds")
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    LAYER_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    MILLISECONDS_FIELD_NUMBER: _ClassVar[int]
    operation: str
    layer: str
    phase: str
    milliseconds: float
    def __init__(self, operation: _Optional[str] = ..., layer: _Optional[str] = ..., phase: _Optional[str] = ..., milliseconds: _Optional[float] = ...) -> None: ...

class BenchmarkSummary(_message.Message):
    __slots__ = ("model_sha256", "runtime", "values", "absent", "operations", "failure")
    class ValuesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: BenchmarkValue
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[BenchmarkValue, _Mapping]] = ...) -> None: ...
    class AbsentEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    MODEL_SHA256_FIELD_NUMBER: _ClassVar[int]
    RUNTIME_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    ABSENT_FIELD_NUMBER: _ClassVar[int]
    OPERATIONS_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    model_sha256: str
    runtime: str
    values: _containers.MessageMap[str, BenchmarkValue]
    absent: _containers.ScalarMap[str, str]
    operations: _containers.RepeatedCompositeFieldContainer[BenchmarkOperation]
    failure: str
    def __init__(self, model_sha256: _Optional[str] = ..., runtime: _Optional[str] = ..., values: _Optional[_Mapping[str, BenchmarkValue]] = ..., absent: _Optional[_Mapping[str, str]] = ..., operations: _Optional[_Iterable[_Union[BenchmarkOperation, _Mapping]]] = ..., failure: _Optional[str] = ...) -> None: ...
