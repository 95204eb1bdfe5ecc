from tfplus.proto.v1 import tensors_pb2 as _tensors_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class MembershipMessage(_message.Message):
    __slots__ = ("run_id", "sender", "kind", "sequence", "target", "updates")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[MembershipMessage.Kind]
        PING: _ClassVar[MembershipMessage.Kind]
        PING_REQUEST: _ClassVar[MembershipMessage.Kind]
        ACK: _ClassVar[MembershipMessage.Kind]
        NACK: _ClassVar[MembershipMessage.Kind]
        SYNC: _ClassVar[MembershipMessage.Kind]
        SYNC_REPLY: _ClassVar[MembershipMessage.Kind]
    KIND_UNSPECIFIED: MembershipMessage.Kind
    PING: MembershipMessage.Kind
    PING_REQUEST: MembershipMessage.Kind
    ACK: MembershipMessage.Kind
    NACK: MembershipMessage.Kind
    SYNC: MembershipMessage.Kind
    SYNC_REPLY: MembershipMessage.Kind
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    SENDER_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    UPDATES_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    sender: str
    kind: MembershipMessage.Kind
    sequence: int
    target: str
    updates: _containers.RepeatedCompositeFieldContainer[MembershipUpdate]
    def __init__(self, run_id: _Optional[str] = ..., sender: _Optional[str] = ..., kind: _Optional[_Union[MembershipMessage.Kind, str]] = ..., sequence: _Optional[int] = ..., target: _Optional[str] = ..., updates: _Optional[_Iterable[_Union[MembershipUpdate, _Mapping]]] = ...) -> None: ...

class MembershipUpdate(_message.Message):
    __slots__ = ("member", "status", "incarnation", "by", "address")
    class Status(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        ALIVE: _ClassVar[MembershipUpdate.Status]
        SUSPECT: _ClassVar[MembershipUpdate.Status]
        DEAD: _ClassVar[MembershipUpdate.Status]
        LEFT: _ClassVar[MembershipUpdate.Status]
    ALIVE: MembershipUpdate.Status
    SUSPECT: MembershipUpdate.Status
    DEAD: MembershipUpdate.Status
    LEFT: MembershipUpdate.Status
    MEMBER_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    member: str
    status: MembershipUpdate.Status
    incarnation: int
    by: str
    address: str
    def __init__(self, member: _Optional[str] = ..., status: _Optional[_Union[MembershipUpdate.Status, str]] = ..., incarnation: _Optional[int] = ..., by: _Optional[str] = ..., address: _Optional[str] = ...) -> None: ...

class MembershipReply(_message.Message):
    __slots__ = ("taken",)
    TAKEN_FIELD_NUMBER: _ClassVar[int]
    taken: bool
    def __init__(self, taken: bool = ...) -> None: ...

class TakeOverRequest(_message.Message):
    __slots__ = ("run_id", "member", "slices")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    MEMBER_FIELD_NUMBER: _ClassVar[int]
    SLICES_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    member: str
    slices: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, run_id: _Optional[str] = ..., member: _Optional[str] = ..., slices: _Optional[_Iterable[str]] = ...) -> None: ...

class TakeOverPart(_message.Message):
    __slots__ = ("header", "tensors")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    TENSORS_FIELD_NUMBER: _ClassVar[int]
    header: TakeOverHeader
    tensors: _tensors_pb2.TensorSetPart
    def __init__(self, header: _Optional[_Union[TakeOverHeader, _Mapping]] = ..., tensors: _Optional[_Union[_tensors_pb2.TensorSetPart, _Mapping]] = ...) -> None: ...

class TakeOverHeader(_message.Message):
    __slots__ = ("round",)
    ROUND_FIELD_NUMBER: _ClassVar[int]
    round: int
    def __init__(self, round: _Optional[int] = ...) -> None: ...
