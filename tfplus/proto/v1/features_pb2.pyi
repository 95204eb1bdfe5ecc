from tfplus.proto.v1 import tensors_pb2 as _tensors_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DescribePublishedRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Published(_message.Message):
    __slots__ = ("version", "published_s", "model_sha256", "model_bytes", "makers", "layer", "hyper", "samples", "trained_samples")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    PUBLISHED_S_FIELD_NUMBER: _ClassVar[int]
    MODEL_SHA256_FIELD_NUMBER: _ClassVar[int]
    MODEL_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAKERS_FIELD_NUMBER: _ClassVar[int]
    LAYER_FIELD_NUMBER: _ClassVar[int]
    HYPER_FIELD_NUMBER: _ClassVar[int]
    SAMPLES_FIELD_NUMBER: _ClassVar[int]
    TRAINED_SAMPLES_FIELD_NUMBER: _ClassVar[int]
    version: int
    published_s: float
    model_sha256: str
    model_bytes: int
    makers: _containers.RepeatedScalarFieldContainer[str]
    layer: str
    hyper: str
    samples: int
    trained_samples: int
    def __init__(self, version: _Optional[int] = ..., published_s: _Optional[float] = ..., model_sha256: _Optional[str] = ..., model_bytes: _Optional[int] = ..., makers: _Optional[_Iterable[str]] = ..., layer: _Optional[str] = ..., hyper: _Optional[str] = ..., samples: _Optional[int] = ..., trained_samples: _Optional[int] = ...) -> None: ...

class FlushFeaturesHeader(_message.Message):
    __slots__ = ("batch_id", "device", "maker", "hyper", "shape", "samples", "labels", "sha256", "note")
    BATCH_ID_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    MAKER_FIELD_NUMBER: _ClassVar[int]
    HYPER_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    SAMPLES_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    batch_id: str
    device: str
    maker: str
    hyper: str
    shape: _containers.RepeatedScalarFieldContainer[int]
    samples: _containers.RepeatedScalarFieldContainer[bytes]
    labels: _containers.RepeatedScalarFieldContainer[int]
    sha256: bytes
    note: str
    def __init__(self, batch_id: _Optional[str] = ..., device: _Optional[str] = ..., maker: _Optional[str] = ..., hyper: _Optional[str] = ..., shape: _Optional[_Iterable[int]] = ..., samples: _Optional[_Iterable[bytes]] = ..., labels: _Optional[_Iterable[int]] = ..., sha256: _Optional[bytes] = ..., note: _Optional[str] = ...) -> None: ...

class FlushFeaturesPart(_message.Message):
    __slots__ = ("header", "chunk")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    header: FlushFeaturesHeader
    chunk: bytes
    def __init__(self, header: _Optional[_Union[FlushFeaturesHeader, _Mapping]] = ..., chunk: _Optional[bytes] = ...) -> None: ...

class FlushFeaturesResponse(_message.Message):
    __slots__ = ("was_present", "samples")
    WAS_PRESENT_FIELD_NUMBER: _ClassVar[int]
    SAMPLES_FIELD_NUMBER: _ClassVar[int]
    was_present: bool
    samples: int
    def __init__(self, was_present: bool = ..., samples: _Optional[int] = ...) -> None: ...

class PullWeightsRequest(_message.Message):
    __slots__ = ("version", "held")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    version: int
    held: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, version: _Optional[int] = ..., held: _Optional[_Iterable[bytes]] = ...) -> None: ...

class DownloadModelRequest(_message.Message):
    __slots__ = ("sha256",)
    SHA256_FIELD_NUMBER: _ClassVar[int]
    sha256: str
    def __init__(self, sha256: _Optional[str] = ...) -> None: ...

class ModelChunk(_message.Message):
    __slots__ = ("chunk",)
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    chunk: bytes
    def __init__(self, chunk: _Optional[bytes] = ...) -> None: ...
