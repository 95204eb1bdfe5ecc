from tfplus.proto.v1 import tensors_pb2 as _tensors_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class LoadHeader(_message.Message):
    __slots__ = ("plan", "sha256", "size_bytes")
    PLAN_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    plan: str
    sha256: str
    size_bytes: int
    def __init__(self, plan: _Optional[str] = ..., sha256: _Optional[str] = ..., size_bytes: _Optional[int] = ...) -> None: ...

class LoadPart(_message.Message):
    __slots__ = ("header", "chunk")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    header: LoadHeader
    chunk: bytes
    def __init__(self, header: _Optional[_Union[LoadHeader, _Mapping]] = ..., chunk: _Optional[bytes] = ...) -> None: ...

class LoadReply(_message.Message):
    __slots__ = ("version",)
    VERSION_FIELD_NUMBER: _ClassVar[int]
    version: str
    def __init__(self, version: _Optional[str] = ...) -> None: ...

class StepId(_message.Message):
    __slots__ = ("run_id", "step")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    step: int
    def __init__(self, run_id: _Optional[str] = ..., step: _Optional[int] = ...) -> None: ...

class StepPart(_message.Message):
    __slots__ = ("id", "tensors")
    ID_FIELD_NUMBER: _ClassVar[int]
    TENSORS_FIELD_NUMBER: _ClassVar[int]
    id: StepId
    tensors: _tensors_pb2.TensorSetPart
    def __init__(self, id: _Optional[_Union[StepId, _Mapping]] = ..., tensors: _Optional[_Union[_tensors_pb2.TensorSetPart, _Mapping]] = ...) -> None: ...

class StepReply(_message.Message):
    __slots__ = ("metrics", "compute_s", "halo_s", "reduce_s", "sent_bytes", "peak_memory_bytes", "base_memory_bytes", "spans")
    class MetricsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    METRICS_FIELD_NUMBER: _ClassVar[int]
    COMPUTE_S_FIELD_NUMBER: _ClassVar[int]
    HALO_S_FIELD_NUMBER: _ClassVar[int]
    REDUCE_S_FIELD_NUMBER: _ClassVar[int]
    SENT_BYTES_FIELD_NUMBER: _ClassVar[int]
    PEAK_MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    BASE_MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    SPANS_FIELD_NUMBER: _ClassVar[int]
    metrics: _containers.ScalarMap[str, float]
    compute_s: float
    halo_s: float
    reduce_s: float
    sent_bytes: int
    peak_memory_bytes: int
    base_memory_bytes: int
    spans: _containers.RepeatedCompositeFieldContainer[TileSpan]
    def __init__(self, metrics: _Optional[_Mapping[str, float]] = ..., compute_s: _Optional[float] = ..., halo_s: _Optional[float] = ..., reduce_s: _Optional[float] = ..., sent_bytes: _Optional[int] = ..., peak_memory_bytes: _Optional[int] = ..., base_memory_bytes: _Optional[int] = ..., spans: _Optional[_Iterable[_Union[TileSpan, _Mapping]]] = ...) -> None: ...

class TileSpan(_message.Message):
    __slots__ = ("name", "start_s", "seconds")
    NAME_FIELD_NUMBER: _ClassVar[int]
    START_S_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    name: str
    start_s: float
    seconds: float
    def __init__(self, name: _Optional[str] = ..., start_s: _Optional[float] = ..., seconds: _Optional[float] = ...) -> None: ...

class StateRequest(_message.Message):
    __slots__ = ("run_id",)
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    def __init__(self, run_id: _Optional[str] = ...) -> None: ...

class StatePart(_message.Message):
    __slots__ = ("run_id", "tensors")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    TENSORS_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    tensors: _tensors_pb2.TensorSetPart
    def __init__(self, run_id: _Optional[str] = ..., tensors: _Optional[_Union[_tensors_pb2.TensorSetPart, _Mapping]] = ...) -> None: ...

class DeliverHeader(_message.Message):
    __slots__ = ("run_id", "step", "kind", "index", "sender")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    SENDER_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    step: int
    kind: str
    index: int
    sender: int
    def __init__(self, run_id: _Optional[str] = ..., step: _Optional[int] = ..., kind: _Optional[str] = ..., index: _Optional[int] = ..., sender: _Optional[int] = ...) -> None: ...

class DeliverPart(_message.Message):
    __slots__ = ("header", "tensors", "end")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    TENSORS_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    header: DeliverHeader
    tensors: _containers.RepeatedCompositeFieldContainer[_tensors_pb2.TensorSetPart]
    end: bool
    def __init__(self, header: _Optional[_Union[DeliverHeader, _Mapping]] = ..., tensors: _Optional[_Iterable[_Union[_tensors_pb2.TensorSetPart, _Mapping]]] = ..., end: bool = ...) -> None: ...

class ProbeRequest(_message.Message):
    __slots__ = ("address", "sizes_bytes")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    SIZES_BYTES_FIELD_NUMBER: _ClassVar[int]
    address: str
    sizes_bytes: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, address: _Optional[str] = ..., sizes_bytes: _Optional[_Iterable[int]] = ...) -> None: ...

class ProbeReply(_message.Message):
    __slots__ = ("seconds",)
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    seconds: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, seconds: _Optional[_Iterable[float]] = ...) -> None: ...

class TilesAck(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
