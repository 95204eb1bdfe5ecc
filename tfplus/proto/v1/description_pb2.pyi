from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DescribeRequest(_message.Message):
    __slots__ = ("measure_speed",)
    MEASURE_SPEED_FIELD_NUMBER: _ClassVar[int]
    measure_speed: bool
    def __init__(self, measure_speed: bool = ...) -> None: ...

class FrozenWeightHash(_message.Message):
    __slots__ = ("name", "sha256")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    name: str
    sha256: str
    def __init__(self, name: _Optional[str] = ..., sha256: _Optional[str] = ...) -> None: ...

class TrainingDescription(_message.Message):
    __slots__ = ("name", "train_samples", "class_samples", "no_class_samples", "memory_bytes", "flops_per_s", "model_name", "frozen")
    class ClassSamplesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: int
        value: int
        def __init__(self, key: _Optional[int] = ..., value: _Optional[int] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    TRAIN_SAMPLES_FIELD_NUMBER: _ClassVar[int]
    CLASS_SAMPLES_FIELD_NUMBER: _ClassVar[int]
    NO_CLASS_SAMPLES_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    FLOPS_PER_S_FIELD_NUMBER: _ClassVar[int]
    MODEL_NAME_FIELD_NUMBER: _ClassVar[int]
    FROZEN_FIELD_NUMBER: _ClassVar[int]
    name: str
    train_samples: int
    class_samples: _containers.ScalarMap[int, int]
    no_class_samples: str
    memory_bytes: int
    flops_per_s: float
    model_name: str
    frozen: _containers.RepeatedCompositeFieldContainer[FrozenWeightHash]
    def __init__(self, name: _Optional[str] = ..., train_samples: _Optional[int] = ..., class_samples: _Optional[_Mapping[int, int]] = ..., no_class_samples: _Optional[str] = ..., memory_bytes: _Optional[int] = ..., flops_per_s: _Optional[float] = ..., model_name: _Optional[str] = ..., frozen: _Optional[_Iterable[_Union[FrozenWeightHash, _Mapping]]] = ...) -> None: ...
