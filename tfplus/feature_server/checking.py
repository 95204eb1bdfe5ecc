"""Whether a batch of features is what the published model takes; a pure check."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tfplus.errors import RefusedBatchError
from tfplus.feature_server.state.records import FeatureBatch
from tfplus.proto.v1 import features_pb2 as pb
from tfplus.wire.growing import GrowingBuffer

MOST_SAMPLES = 4096
MOST_BYTES = 64 * 1024 * 1024
_KEY_BYTES = 16
_NAME_CHARS = 64
_NOTE_CHARS = 500


@dataclass(frozen=True)
class Wanted:
    """What batches are held against.

    Attributes:
      maker: hash of what makes the features.
      hyper: hash of the hyper-parameters.
      shape: of one sample.
      classes: labels that the model has.
    """

    maker: str
    hyper: str
    shape: tuple[int, ...]
    classes: tuple[int, ...]


def read(stream: Iterator[pb.FlushFeaturesPart], device: str, *accepted: Wanted) -> FeatureBatch:
    """Reads a batch; nothing is allocated before the header was checked.

    Args:
      stream: a header, then chunks.
      device: the name in the caller's certificate; empty in plaintext.
      accepted: what it may be, of makers of their own; the last for who sends something else.

    Raises:
      RefusedBatchError: naming the device and what is wrong.
    """
    first = next(stream, None)
    header = pb.FlushFeaturesHeader() if first is None else first.header
    who = device or header.device
    if not _is_name(who):
        raise RefusedBatchError("a batch of a device without a printable name of 1 to 64 letters")
    wanted = next((each for each in accepted if each.maker == header.maker), accepted[-1])
    try:
        _check_header(header, device, wanted)
        size = len(header.samples) * math.prod(wanted.shape) * 4
        rows = _rows(stream, size, header.sha256).reshape(len(header.samples), *wanted.shape)
    except _Misfit as wrong:
        raise RefusedBatchError(f"the batch of '{who}' was refused: {wrong}") from None
    labels = np.asarray(header.labels, np.int64)
    given = header.batch_id, who, header.maker, header.hyper, tuple(header.samples)
    return FeatureBatch(*given, labels, rows, header.note)


class _Misfit(Exception):  # noqa: N818 (never seen outside)
    """What is wrong with a batch, in words."""


def _check_header(header: pb.FlushFeaturesHeader, device: str, wanted: Wanted) -> None:
    number = len(header.samples)
    if device and header.device not in ("", device):
        raise _Misfit(f"it says that it is of '{header.device[:_NAME_CHARS]}'")
    if not _is_name(header.batch_id):
        raise _Misfit("expected an id of 1 to 64 printable letters")
    if header.maker != wanted.maker:
        raise _Misfit(
            f"its features were made by other frozen layers ({header.maker[:8]}, expected "
            f"{wanted.maker[:8]}): pull the model first"
        )
    if header.hyper != wanted.hyper:
        raise _Misfit("its features were kept under other hyper-parameters: pull the model first")
    if tuple(header.shape) != wanted.shape:
        raise _Misfit(f"expected features {list(wanted.shape)}, got {list(header.shape)[:8]}")
    if not 0 < number <= MOST_SAMPLES or number * math.prod(wanted.shape) * 4 > MOST_BYTES:
        raise _Misfit(
            f"expected 1 to {MOST_SAMPLES} samples of at most {MOST_BYTES} bytes, got {number}"
        )
    if len(header.labels) != number or len(set(header.samples)) != number:
        raise _Misfit(f"expected {number} labels and distinct samples, got {len(header.labels)}")
    if any(len(key) != _KEY_BYTES for key in header.samples):
        raise _Misfit(f"expected keys of {_KEY_BYTES} bytes")
    foreign = sorted(set(header.labels) - set(wanted.classes))
    if foreign:
        raise _Misfit(f"labels {foreign[:5]} are none of the model's, {_listed(wanted.classes)}")
    if len(header.note) > _NOTE_CHARS or "\0" in header.note:
        raise _Misfit(f"expected a note of at most {_NOTE_CHARS} letters, none of them NUL")


def _rows(
    stream: Iterator[pb.FlushFeaturesPart], size: int, sha256: bytes
) -> npt.NDArray[np.float32]:
    # Grown as bytes arrive: a header alone allocates nothing.
    buffer, digest = GrowingBuffer(size), hashlib.sha256()
    for part in stream:
        # An empty chunk brings nothing: a stream of them would never end.
        if part.WhichOneof("part") != "chunk" or not part.chunk:
            raise _Misfit("expected chunks after the header")
        if buffer.filled + len(part.chunk) > size:
            raise _Misfit(f"expected {size} bytes of features, more came")
        digest.update(part.chunk)
        buffer.append(memoryview(part.chunk))
    if buffer.filled != size:
        raise _Misfit(f"expected {size} bytes of features, got {buffer.filled}")
    if digest.digest() != sha256:
        raise _Misfit("its bytes do not match their SHA-256")
    rows = np.frombuffer(buffer.bytes(), "<f4")
    if not np.isfinite(rows).all():
        raise _Misfit("expected finite features, got NaN or infinity")
    return rows


def _is_name(text: str) -> bool:
    return 0 < len(text) <= _NAME_CHARS and text.isprintable()


def _listed(classes: Sequence[int]) -> str:
    more = ", …" if len(classes) > 20 else ""
    return f"{', '.join(map(str, classes[:20]))}{more}"
