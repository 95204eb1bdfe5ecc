from tfplus.proto.v1 import tensors_pb2 as _tensors_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ContributionHeader(_message.Message):
    __slots__ = ("run_id", "peer", "incarnation", "round", "degree", "schema_hash", "slice_weights")
    class SliceWeightsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    PEER_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    DEGREE_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_HASH_FIELD_NUMBER: _ClassVar[int]
    SLICE_WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    peer: str
    incarnation: int
    round: int
    degree: int
    schema_hash: str
    slice_weights: _containers.ScalarMap[str, float]
    def __init__(self, run_id: _Optional[str] = ..., peer: _Optional[str] = ..., incarnation: _Optional[int] = ..., round: _Optional[int] = ..., degree: _Optional[int] = ..., schema_hash: _Optional[str] = ..., slice_weights: _Optional[_Mapping[str, float]] = ...) -> None: ...

class ExchangePart(_message.Message):
    __slots__ = ("header", "tensors", "coded")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    TENSORS_FIELD_NUMBER: _ClassVar[int]
    CODED_FIELD_NUMBER: _ClassVar[int]
    header: ContributionHeader
    tensors: _tensors_pb2.TensorSetPart
    coded: CodedPart
    def __init__(self, header: _Optional[_Union[ContributionHeader, _Mapping]] = ..., tensors: _Optional[_Union[_tensors_pb2.TensorSetPart, _Mapping]] = ..., coded: _Optional[_Union[CodedPart, _Mapping]] = ...) -> None: ...

class CodedPart(_message.Message):
    __slots__ = ("header", "chunk")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    header: CodedHeader
    chunk: bytes
    def __init__(self, header: _Optional[_Union[CodedHeader, _Mapping]] = ..., chunk: _Optional[bytes] = ...) -> None: ...

class CodedHeader(_message.Message):
    __slots__ = ("link", "number", "base", "tensors", "state_sha256")
    LINK_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    BASE_FIELD_NUMBER: _ClassVar[int]
    TENSORS_FIELD_NUMBER: _ClassVar[int]
    STATE_SHA256_FIELD_NUMBER: _ClassVar[int]
    link: int
    number: int
    base: int
    tensors: _containers.RepeatedCompositeFieldContainer[CodedTensor]
    state_sha256: bytes
    def __init__(self, link: _Optional[int] = ..., number: _Optional[int] = ..., base: _Optional[int] = ..., tensors: _Optional[_Iterable[_Union[CodedTensor, _Mapping]]] = ..., state_sha256: _Optional[bytes] = ...) -> None: ...

class CodedTensor(_message.Message):
    __slots__ = ("name", "codec", "shape", "scale")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CODEC_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    SCALE_FIELD_NUMBER: _ClassVar[int]
    name: str
    codec: str
    shape: _containers.RepeatedScalarFieldContainer[int]
    scale: float
    def __init__(self, name: _Optional[str] = ..., codec: _Optional[str] = ..., shape: _Optional[_Iterable[int]] = ..., scale: _Optional[float] = ...) -> None: ...

class ExchangeReply(_message.Message):
    __slots__ = ("outcome", "round")
    class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        OUTCOME_UNSPECIFIED: _ClassVar[ExchangeReply.Outcome]
        ACCEPTED: _ClassVar[ExchangeReply.Outcome]
        DUPLICATE: _ClassVar[ExchangeReply.Outcome]
        LATE: _ClassVar[ExchangeReply.Outcome]
        SEND_ALL: _ClassVar[ExchangeReply.Outcome]
        NOT_STARTED: _ClassVar[ExchangeReply.Outcome]
    OUTCOME_UNSPECIFIED: ExchangeReply.Outcome
    ACCEPTED: ExchangeReply.Outcome
    DUPLICATE: ExchangeReply.Outcome
    LATE: ExchangeReply.Outcome
    SEND_ALL: ExchangeReply.Outcome
    NOT_STARTED: ExchangeReply.Outcome
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    outcome: ExchangeReply.Outcome
    round: int
    def __init__(self, outcome: _Optional[_Union[ExchangeReply.Outcome, str]] = ..., round: _Optional[int] = ...) -> None: ...
