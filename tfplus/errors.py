"""The one exception tree: what went wrong, what was expected, and the exit code it ends with.

Every message names the thing, what was expected, what came and, where there is one, the next step.
The command line prints the message alone and exits with `exit_code`; the agent answers a call with
the gRPC status named by `status`.
"""

from __future__ import annotations

from typing import ClassVar


class TfplusError(Exception):
    """Base of every error that tfplus raises on purpose."""

    exit_code: ClassVar[int] = 1
    status: ClassVar[str] = "INTERNAL"


class UsageError(TfplusError):
    """The arguments do not fit together."""

    exit_code = 2
    status = "INVALID_ARGUMENT"


class ArtifactError(TfplusError):
    """A model file is missing, foreign, truncated, corrupt or of a newer schema."""

    exit_code = 3
    status = "INVALID_ARGUMENT"


class DamagedFileError(TfplusError):
    """A file does not hold what is written there: it was cut off, overwritten or changed."""

    exit_code = 3
    status = "DATA_LOSS"


class PlanError(TfplusError):
    """A plan of decoupling is missing, damaged or of another model, or lacks a class."""

    exit_code = 3
    status = "INVALID_ARGUMENT"


class DataError(TfplusError):
    """A data set is missing, empty or does not fit the model."""

    exit_code = 3
    status = "FAILED_PRECONDITION"


class StoreError(TfplusError):
    """A store of samples is full, locked or on a full disk; what was acknowledged stays."""

    exit_code = 3
    status = "RESOURCE_EXHAUSTED"


class TensorError(TfplusError):
    """Tensors do not match what the model holds: a name, dtype, shape, size or hash."""

    exit_code = 3
    status = "INVALID_ARGUMENT"


class ExportError(TfplusError):
    """A model cannot be exported, or what was exported does not compute what TensorFlow does."""

    exit_code = 4
    status = "INVALID_ARGUMENT"


class UnsupportedOperationError(ExportError):
    """A layer is made of an operation that has no lowering rule."""


class UnexpectedExportError(ExportError):
    """A stage of an export failed in a way that nobody foresaw."""


class RemoteError(TfplusError):
    """An agent or a peer cannot be reached, refused, or went away."""

    exit_code = 5
    status = "UNAVAILABLE"


class UnreachableError(RemoteError):
    """An agent or a peer cannot be reached, or went away; later it may be there again."""


class StepError(RemoteError):
    """A step over several devices was discarded, or one of them did not do its part."""

    status = "ABORTED"


class PairingError(RemoteError):
    """A device and a desk did not come together: a wrong, used or expired code, or interference."""

    status = "UNAUTHENTICATED"


class RefusedBatchError(TfplusError):
    """A batch of features is not what the published model takes, or not of who sent it."""

    exit_code = 5
    status = "INVALID_ARGUMENT"


class NotPermittedError(TfplusError):
    """The caller's certificate does not let it do that."""

    exit_code = 5
    status = "PERMISSION_DENIED"


class MissingExtraError(TfplusError):
    """A command needs packages that are not installed."""

    exit_code = 6
    status = "UNIMPLEMENTED"

    @classmethod
    def of(cls, what: str, extra: str) -> MissingExtraError:
        """Builds the error for `what`, which the extra `extra` brings."""
        return cls(f"{what} needs packages that are not installed: pip install 'tfplus[{extra}]'")


class RuntimeVersionError(TfplusError):
    """The installed version of a runtime is known to fail on exported files."""

    exit_code = 6
    status = "FAILED_PRECONDITION"


class WorkerError(TfplusError):
    """The process that owns the interpreter failed or died."""

    exit_code = 7
    status = "INTERNAL"


class BusyError(TfplusError):
    """The agent already does something that cannot run twice at once."""

    exit_code = 5
    status = "FAILED_PRECONDITION"
