from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ReadSensorsRequest(_message.Message):
    __slots__ = ("quantities",)
    QUANTITIES_FIELD_NUMBER: _ClassVar[int]
    quantities: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, quantities: _Optional[_Iterable[str]] = ...) -> None: ...

class WatchSensorsRequest(_message.Message):
    __slots__ = ("period_s",)
    PERIOD_S_FIELD_NUMBER: _ClassVar[int]
    period_s: float
    def __init__(self, period_s: _Optional[float] = ...) -> None: ...

class SensorReading(_message.Message):
    __slots__ = ("quantity", "instance", "value", "source", "raw", "absent_reason")
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    RAW_FIELD_NUMBER: _ClassVar[int]
    ABSENT_REASON_FIELD_NUMBER: _ClassVar[int]
    quantity: str
    instance: str
    value: float
    source: str
    raw: str
    absent_reason: str
    def __init__(self, quantity: _Optional[str] = ..., instance: _Optional[str] = ..., value: _Optional[float] = ..., source: _Optional[str] = ..., raw: _Optional[str] = ..., absent_reason: _Optional[str] = ...) -> None: ...

class SensorReadings(_message.Message):
    __slots__ = ("time_s", "readings", "costs_ms")
    class CostsMsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    TIME_S_FIELD_NUMBER: _ClassVar[int]
    READINGS_FIELD_NUMBER: _ClassVar[int]
    COSTS_MS_FIELD_NUMBER: _ClassVar[int]
    time_s: float
    readings: _containers.RepeatedCompositeFieldContainer[SensorReading]
    costs_ms: _containers.ScalarMap[str, float]
    def __init__(self, time_s: _Optional[float] = ..., readings: _Optional[_Iterable[_Union[SensorReading, _Mapping]]] = ..., costs_ms: _Optional[_Mapping[str, float]] = ...) -> None: ...
