from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class PairingRequest(_message.Message):
    __slots__ = ("name", "certificate_request")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_REQUEST_FIELD_NUMBER: _ClassVar[int]
    name: str
    certificate_request: bytes
    def __init__(self, name: _Optional[str] = ..., certificate_request: _Optional[bytes] = ...) -> None: ...

class PairingCertificate(_message.Message):
    __slots__ = ("certificate", "ca", "revoked")
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    CA_FIELD_NUMBER: _ClassVar[int]
    REVOKED_FIELD_NUMBER: _ClassVar[int]
    certificate: bytes
    ca: bytes
    revoked: bytes
    def __init__(self, certificate: _Optional[bytes] = ..., ca: _Optional[bytes] = ..., revoked: _Optional[bytes] = ...) -> None: ...
