"""Labels and uploads in the index, its migration, and a process that is killed while it writes."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tfplus.errors import DataError
from tfplus.features import schema
from tfplus.features.cache import FeatureCache
from tfplus.features.uploads import Upload

SHAPE = (3,)


def opened(folder: Path, notes: list[str] | None = None) -> FeatureCache:
    told = notes if notes is not None else []
    return FeatureCache(folder, "maker", "layer", SHAPE, hyper="h", note=told.append)


def features(*numbers: int) -> np.ndarray:
    return np.stack([np.full(SHAPE, n, np.float32) for n in numbers])


def test_labels_last_and_a_corrected_one_is_sent_again(tmp_path: Path) -> None:
    cache = opened(tmp_path)
    cache.add([b"a", b"b"], features(1, 2))
    assert cache.annotate([b"a", b"b"], [5, 6]) == 2
    upload = Upload("u1", 1.0, "hub:1", "layer", 2, 24, None, "")
    cache.uploads.begin(upload, cache.annotations.maker, [b"a", b"b"])
    assert cache.uploads.pending() == ["u1"]
    cache.close()
    cache = opened(tmp_path)
    found, rows = cache.annotated("u1")
    assert [(a.sample, a.label) for a in found] == [(b"a", 5), (b"b", 6)]
    np.testing.assert_array_equal(rows, features(1, 2))
    cache.uploads.end("u1", 2.0)
    assert cache.uploads.pending() == []
    assert cache.annotated(unsent=True)[0] == []
    cache.annotate([b"a", b"b"], [5, 7])
    assert [(a.sample, a.label) for a in cache.annotated(unsent=True)[0]] == [(b"b", 7)]
    assert cache.annotations.count() == {
        "entries": 2, "annotated": 2, "unsent": 1, "predictions": 0,
    }  # fmt: skip
    cache.close()


def test_a_row_that_is_damaged_is_dropped_with_a_message(tmp_path: Path) -> None:
    cache = opened(tmp_path)
    cache.add([b"a", b"b"], features(1, 2))
    cache.annotate([b"a", b"b"], [5, 6])
    cache.close()
    (block,) = tmp_path.glob("*.safetensors")
    content = bytearray(block.read_bytes())
    content[-1] ^= 1
    block.write_bytes(content)
    notes: list[str] = []
    cache = opened(tmp_path, notes)
    assert [a.sample for a in cache.annotated()[0]] == [b"a"]
    assert "row 1" in notes[0]
    assert "does not match its hash" in notes[0]
    assert cache.annotations.count()["annotated"] == 1
    cache.close()


def test_labels_go_last_where_room_is_short(tmp_path: Path) -> None:
    clock = [1.0]
    rows = np.ones((4, 3), np.float32)

    def model(maker: str) -> FeatureCache:
        clock[0] += 1
        return FeatureCache(tmp_path, maker, "layer", SHAPE, limit_bytes=200, now=lambda: clock[0])

    keys = [bytes([i]) for i in range(4)]
    # Each block has 48 bytes of features and a header.
    caches = {name: model(name) for name in ("labelled", "newer", "newest")}
    caches["labelled"].add(keys, rows)
    assert caches["labelled"].annotate(keys[:1], [1]) == 1
    for name in ("newer", "newest"):
        caches[name].add(keys, rows)
        caches[name].flush()
    held = {name: len(cache) for name, cache in caches.items()}
    assert held == {"labelled": 4, "newer": 0, "newest": 4}
    for cache in caches.values():
        cache.close()


def test_an_index_of_the_first_version_is_gone_on_with(tmp_path: Path) -> None:
    cache = opened(tmp_path)
    cache.add([b"a"], features(1))
    cache.close()
    # As the first version left it.
    db = sqlite3.connect(tmp_path / schema.NAME)
    for column in ("added_s", "hyper", "label", "predictions", "upload"):
        db.execute(f"ALTER TABLE entries DROP COLUMN {column}")
    db.execute("ALTER TABLE makers DROP COLUMN since_s")
    db.execute("DROP TABLE uploads")
    for table in ("sendings", "costs"):
        db.execute(f"DROP TABLE {table}")
    db.execute("UPDATE blocks SET written_s = 77")
    db.execute("PRAGMA user_version=1")
    db.commit()
    db.close()
    cache = opened(tmp_path)
    assert cache.find([b"a"])[0] is not None
    assert cache.annotations.since_s() == 77
    assert cache.annotate([b"a"], [3]) == 1
    cache.close()
    db = sqlite3.connect(tmp_path / schema.NAME)
    assert db.execute("SELECT added_s, hyper, label FROM entries").fetchall() == [(77.0, "", 3)]
    db.execute("PRAGMA user_version=99")
    db.commit()
    db.close()
    with pytest.raises(DataError, match="version 99"):
        opened(tmp_path)


_WRITER = """
import sys
from pathlib import Path
import numpy as np
from tfplus.features.cache import FeatureCache
cache = FeatureCache(Path(sys.argv[1]), "maker", "layer", (3,), hyper="h")
number = int(sys.argv[2])
while True:
    key = number.to_bytes(16, "little")
    cache.add([key], np.full((1, 3), number, np.float32))
    assert cache.annotate([key], [number % 10]) == 1
    print(number, flush=True)
    number += 1
"""
KILLS = int(os.environ.get("TFPLUS_KILLS", "10"))


@pytest.mark.slow
def test_what_was_acknowledged_outlives_a_kill(tmp_path: Path) -> None:
    acknowledged = 0
    for kill in range(KILLS):
        command = [sys.executable, "-c", _WRITER, str(tmp_path), str(acknowledged)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            # At another moment each time.
            for _ in range(1 + kill % 7):
                line = writer.stdout.readline()
            writer.send_signal(signal.SIGKILL)
            # What it said before it died was acknowledged, too.
            lines = [line, *writer.stdout.read().splitlines()]
        acknowledged = max(int(each) for each in lines if each.strip()) + 1
        notes: list[str] = []
        cache = opened(tmp_path, notes)
        found, rows = cache.annotated()
        assert notes == []
        numbers = sorted(int.from_bytes(a.sample, "little") for a in found)
        # One more may be there, whose acknowledgement did not get out.
        assert numbers[:acknowledged] == list(range(acknowledged))
        assert len(numbers) - acknowledged in (0, 1)
        for one, row in zip(found, rows, strict=True):
            number = int.from_bytes(one.sample, "little")
            assert (one.label, row.tolist()) == (number % 10, [number] * 3)
        acknowledged = len(numbers)
        cache.close()
