from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AddSampleRequest(_message.Message):
    __slots__ = ("dtype", "shape", "values", "label", "name")
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    dtype: str
    shape: _containers.RepeatedScalarFieldContainer[int]
    values: bytes
    label: int
    name: str
    def __init__(self, dtype: _Optional[str] = ..., shape: _Optional[_Iterable[int]] = ..., values: _Optional[bytes] = ..., label: _Optional[int] = ..., name: _Optional[str] = ...) -> None: ...

class AddSampleResponse(_message.Message):
    __slots__ = ("id", "is_new", "label")
    ID_FIELD_NUMBER: _ClassVar[int]
    IS_NEW_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    id: int
    is_new: bool
    label: int
    def __init__(self, id: _Optional[int] = ..., is_new: bool = ..., label: _Optional[int] = ...) -> None: ...

class ImportSamplesResponse(_message.Message):
    __slots__ = ("stored", "were_there")
    STORED_FIELD_NUMBER: _ClassVar[int]
    WERE_THERE_FIELD_NUMBER: _ClassVar[int]
    stored: int
    were_there: int
    def __init__(self, stored: _Optional[int] = ..., were_there: _Optional[int] = ...) -> None: ...

class CorrectSampleRequest(_message.Message):
    __slots__ = ("id", "label")
    ID_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    id: int
    label: int
    def __init__(self, id: _Optional[int] = ..., label: _Optional[int] = ...) -> None: ...

class CorrectSampleResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ForgetSamplesRequest(_message.Message):
    __slots__ = ("ids",)
    IDS_FIELD_NUMBER: _ClassVar[int]
    ids: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, ids: _Optional[_Iterable[int]] = ...) -> None: ...

class ForgetSamplesResponse(_message.Message):
    __slots__ = ("forgotten",)
    FORGOTTEN_FIELD_NUMBER: _ClassVar[int]
    forgotten: int
    def __init__(self, forgotten: _Optional[int] = ...) -> None: ...

class ListSamplesRequest(_message.Message):
    __slots__ = ("after", "limit")
    AFTER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    after: int
    limit: int
    def __init__(self, after: _Optional[int] = ..., limit: _Optional[int] = ...) -> None: ...

class SampleListed(_message.Message):
    __slots__ = ("id", "name", "label")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    id: int
    name: str
    label: int
    def __init__(self, id: _Optional[int] = ..., name: _Optional[str] = ..., label: _Optional[int] = ...) -> None: ...

class ListSamplesResponse(_message.Message):
    __slots__ = ("count", "dtype", "shape", "samples")
    COUNT_FIELD_NUMBER: _ClassVar[int]
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    SAMPLES_FIELD_NUMBER: _ClassVar[int]
    count: int
    dtype: str
    shape: _containers.RepeatedScalarFieldContainer[int]
    samples: _containers.RepeatedCompositeFieldContainer[SampleListed]
    def __init__(self, count: _Optional[int] = ..., dtype: _Optional[str] = ..., shape: _Optional[_Iterable[int]] = ..., samples: _Optional[_Iterable[_Union[SampleListed, _Mapping]]] = ...) -> None: ...
