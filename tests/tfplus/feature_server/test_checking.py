"""What a server refuses, and whom it names."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
import pytest

from tfplus.errors import RefusedBatchError
from tfplus.feature_server import checking
from tfplus.feature_server.checking import Wanted
from tfplus.proto.v1 import features_pb2 as pb

WANTED = Wanted("m" * 64, "h" * 64, (2, 3), (4, 9))
ROWS = np.arange(12, dtype="<f4").reshape(2, 2, 3)


def header(**changes: object) -> pb.FlushFeaturesHeader:
    fields: dict[str, object] = {
        "batch_id": "b1",
        "device": "pi-1",
        "maker": WANTED.maker,
        "hyper": WANTED.hyper,
        "shape": [2, 3],
        "samples": [b"a" * 16, b"b" * 16],
        "labels": [9, 4],
        "sha256": hashlib.sha256(ROWS.tobytes()).digest(),
    }
    return pb.FlushFeaturesHeader(**(fields | changes))  # type: ignore[arg-type]


def stream(head: pb.FlushFeaturesHeader, *chunks: bytes) -> Iterator[pb.FlushFeaturesPart]:
    yield pb.FlushFeaturesPart(header=head)
    for chunk in chunks:
        yield pb.FlushFeaturesPart(chunk=chunk)


def test_a_batch_comes_through() -> None:
    raw = ROWS.tobytes()
    batch = checking.read(stream(header(), raw[:5], raw[5:]), "pi-1", WANTED)
    np.testing.assert_array_equal(batch.rows, ROWS)
    assert (batch.device, batch.id, batch.labels.tolist()) == ("pi-1", "b1", [9, 4])
    assert batch.samples == (b"a" * 16, b"b" * 16)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"maker": "x" * 64}, "other frozen layers"),
        ({"hyper": "x" * 64}, "other hyper-parameters"),
        ({"shape": [3, 2]}, r"expected features \[2, 3\]"),
        ({"labels": [9, 5]}, r"labels \[5\] are none of the model's, 4, 9"),
        ({"labels": [9]}, "expected 2 labels"),
        ({"samples": [b"a" * 16] * 2}, "distinct samples"),
        ({"samples": [b"a" * 16, b"b"]}, "keys of 16 bytes"),
        ({"samples": [], "labels": []}, "1 to 4096 samples"),
        ({"samples": [bytes(16)] * 5000}, "1 to 4096 samples"),
        ({"note": "a\0"}, "none of them NUL"),
        ({"batch_id": ""}, "expected an id"),
        ({"sha256": bytes(32)}, "do not match their SHA-256"),
        ({"device": "pi-2"}, "says that it is of 'pi-2'"),
        ({"note": "n" * 501}, "a note"),
    ],
)
def test_a_wrong_header_is_refused_and_the_device_named(
    changes: dict[str, object], message: str
) -> None:
    with pytest.raises(RefusedBatchError, match=message) as caught:
        checking.read(stream(header(**changes), ROWS.tobytes()), "pi-1", WANTED)
    assert "the batch of 'pi-1' was refused" in str(caught.value)


@pytest.mark.parametrize(
    ("chunks", "message"),
    [
        ((ROWS.tobytes()[:-1],), "expected 48 bytes of features, got 47"),
        ((ROWS.tobytes(), b"x"), "more came"),
        ((b"",) * 3, "expected chunks"),
        ((), "got 0"),
    ],
)
def test_other_bytes_than_announced(chunks: tuple[bytes, ...], message: str) -> None:
    with pytest.raises(RefusedBatchError, match=message):
        checking.read(stream(header(), *chunks), "", WANTED)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_features_are_finite(value: float) -> None:
    rows = ROWS.copy()
    rows[1, 1, 1] = value
    head = header(sha256=hashlib.sha256(rows.tobytes()).digest())
    with pytest.raises(RefusedBatchError, match="finite"):
        checking.read(stream(head, rows.tobytes()), "pi-1", WANTED)


def test_nobody_is_named_who_has_no_name() -> None:
    for name in ("", "x" * 65, "a\nb"):
        with pytest.raises(RefusedBatchError, match="without a printable name"):
            checking.read(stream(header(device=name), ROWS.tobytes()), "", WANTED)
