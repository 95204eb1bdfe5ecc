"""The file that crosses from desktop to device: whole, or refused with a reason."""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfplus.errors import ArtifactError, TensorError
from tfplus.model_file import artifact
from tfplus.model_file.artifact import Artifact
from tfplus.model_file.manifest import SCHEMA_VERSION
from tfplus.tensors.slices import Tensor


def rebuild(toy: Artifact, edit: dict[str, Any], path: Path) -> Path:
    """A file whose manifest was changed by hand, with everything else intact."""
    graph = toy.path.read_bytes()[: toy.manifest.flatbuffer_bytes]
    raw = json.loads(zipfile.ZipFile(toy.path).read("tfplus.json"))
    path.write_bytes(graph)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("tfplus.json", json.dumps(raw | edit))
    return path


def test_reads_what_was_written(toy: Artifact) -> None:
    found = artifact.read(toy.path)
    assert found == toy
    assert found.sha256 == hashlib.sha256(toy.path.read_bytes()).hexdigest()
    assert found.size_bytes == toy.path.stat().st_size


def test_other_programs_see_a_zip_and_a_flatbuffer(toy: Artifact) -> None:
    with zipfile.ZipFile(toy.path) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["tfplus.json", "labels.txt"]
        assert archive.read("labels.txt") == b"7\n2\n"
    assert toy.path.read_bytes()[4:8] == b"TFL3"


def test_equal_input_gives_equal_files(make_artifact: Any) -> None:
    first, second = make_artifact("a.tflite"), make_artifact("b.tflite")
    assert first.path.read_bytes() == second.path.read_bytes()


def test_initial_values_are_those_in_the_graph(toy: Artifact) -> None:
    values = artifact.initial_values(toy)
    graph = toy.path.read_bytes()
    assert set(values) == {v.name for v in toy.manifest.variables}
    for variable in toy.manifest.variables:
        raw = graph[variable.offset : variable.offset + variable.size_bytes]
        assert values[variable.name].tobytes() == raw
        assert values[variable.name].shape == variable.shape


def test_with_values_changes_those_bytes_alone(toy: Artifact, tmp_path: Path) -> None:
    new: dict[str, Tensor] = {"shared/dense/bias": np.array([1, 2, 3], np.float32)}
    changed = artifact.with_values(toy, new, tmp_path / "new.tflite")
    assert artifact.read(changed.path) == changed
    values = artifact.initial_values(changed)
    before = artifact.initial_values(toy)
    for name, value in values.items():
        np.testing.assert_array_equal(value, new.get(name, before[name]))
    size = toy.manifest.flatbuffer_bytes
    old_bytes, new_bytes = toy.path.read_bytes()[:size], changed.path.read_bytes()[:size]
    bias = next(v for v in toy.manifest.variables if v.name == "shared/dense/bias")
    differing = {i for i in range(size) if old_bytes[i] != new_bytes[i]}
    assert differing <= set(range(bias.offset, bias.offset + bias.size_bytes))


def test_with_values_writes_little_endian_whatever_comes(toy: Artifact, tmp_path: Path) -> None:
    big: Tensor = np.array([1, 2, 3], ">f4")
    changed = artifact.with_values(toy, {"shared/dense/bias": big}, tmp_path / "new.tflite")
    np.testing.assert_array_equal(
        artifact.initial_values(changed)["shared/dense/bias"], [1.0, 2.0, 3.0]
    )


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"shared/dense/bias": np.zeros(4, np.float32)},
            r"float32\[3\], got float32\[4\]",
        ),
        ({"shared/dense/bias": np.zeros(3, np.float64)}, r"got float64"),
        ({"shared/nothing": np.zeros(3, np.float32)}, r"unknown \['shared/nothing'\]"),
        ({"shared/dense/bias": np.full(3, np.nan, np.float32)}, "finite"),
    ],
)
def test_with_values_refuses_what_does_not_fit(
    toy: Artifact, tmp_path: Path, values: dict[str, Tensor], message: str
) -> None:
    with pytest.raises(TensorError, match=message):
        artifact.with_values(toy, values, tmp_path / "new.tflite")
    assert not (tmp_path / "new.tflite").exists()


@pytest.mark.parametrize("stride", [13, pytest.param(1, marks=pytest.mark.slow)])
def test_every_truncation_is_refused(toy: Artifact, tmp_path: Path, stride: int) -> None:
    content = toy.path.read_bytes()
    cut = tmp_path / "cut.tflite"
    for length in range(0, len(content), stride):
        cut.write_bytes(content[:length])
        with pytest.raises(ArtifactError, match=r"cut\.tflite"):
            artifact.read(cut)


@pytest.mark.parametrize("stride", [13, pytest.param(1, marks=pytest.mark.slow)])
def test_no_flipped_bit_is_believed(toy: Artifact, tmp_path: Path, stride: int) -> None:
    content = toy.path.read_bytes()
    flipped = tmp_path / "flipped.tflite"
    for position in range(0, len(content), stride):
        for bit in (position % 8,) if position < toy.manifest.flatbuffer_bytes else (0, 3, 6):
            damaged = bytearray(content)
            damaged[position] ^= 1 << bit
            flipped.write_bytes(damaged)
            try:
                found = artifact.read(flipped)
            except ArtifactError:
                continue
            # A flip in a part of the ZIP that carries nothing; what is read must be what was.
            assert found.manifest == toy.manifest, (position, bit)


def test_no_flipped_bit_crashes_where_the_manifest_is_compressed(
    toy: Artifact, tmp_path: Path
) -> None:
    size = toy.manifest.flatbuffer_bytes
    packed = tmp_path / "packed.tflite"
    packed.write_bytes(toy.path.read_bytes()[:size])
    with zipfile.ZipFile(packed, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("tfplus.json", toy.manifest.to_json())
    content = packed.read_bytes()
    assert artifact.read(packed).manifest == toy.manifest
    for position in range(size, len(content)):
        damaged = bytearray(content)
        damaged[position] ^= 1 << (position % 8)
        packed.write_bytes(damaged)
        try:
            found = artifact.read(packed)
        except ArtifactError:
            continue
        assert found.manifest == toy.manifest, position


@given(junk=st.binary(max_size=200))
def test_foreign_bytes_are_refused(tmp_path_factory: pytest.TempPathFactory, junk: bytes) -> None:
    path = tmp_path_factory.mktemp("junk") / "junk.tflite"
    for content in (junk, b"\0\0\0\0TFL3" + junk):
        path.write_bytes(content)
        with pytest.raises(ArtifactError):
            artifact.read(path)


def test_missing_file_and_directory(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="no such file"):
        artifact.read(tmp_path / "none.tflite")
    with pytest.raises(ArtifactError):
        artifact.read(tmp_path)


def test_a_plain_tflite_file_is_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "plain.tflite"
    path.write_bytes(b"\x1c\0\0\0TFL3" + bytes(1000))
    with pytest.raises(ArtifactError, match="`tfplus export` did not write"):
        artifact.read(path)


def test_newer_schema_says_what_to_do(toy: Artifact, tmp_path: Path) -> None:
    path = rebuild(toy, {"schema_version": SCHEMA_VERSION + 1}, tmp_path / "newer.tflite")
    said = rf"newer\.tflite.*version {SCHEMA_VERSION + 1} is newer than {SCHEMA_VERSION}.*upgrade"
    with pytest.raises(ArtifactError, match=said):
        artifact.read(path)


@pytest.mark.parametrize("offset", [-1, 500, 512, 10**18])
def test_hostile_offsets_are_refused(toy: Artifact, tmp_path: Path, offset: int) -> None:
    raw = json.loads(zipfile.ZipFile(toy.path).read("tfplus.json"))
    raw["variables"][0]["offset"] = offset
    path = rebuild(toy, raw, tmp_path / "hostile.tflite")
    with pytest.raises(ArtifactError, match=r"offset|outside the graph"):
        artifact.read(path)


def test_overlapping_variables_are_refused(toy: Artifact, tmp_path: Path) -> None:
    raw = json.loads(zipfile.ZipFile(toy.path).read("tfplus.json"))
    raw["variables"][1]["offset"] = raw["variables"][0]["offset"] + 44
    path = rebuild(toy, raw, tmp_path / "hostile.tflite")
    with pytest.raises(ArtifactError, match="overlaps"):
        artifact.read(path)


def test_graph_longer_than_the_file_is_refused(toy: Artifact, tmp_path: Path) -> None:
    path = rebuild(toy, {"flatbuffer_bytes": 10**15}, tmp_path / "long.tflite")
    with pytest.raises(ArtifactError, match="SHA-256"):
        artifact.read(path)


def test_huge_manifest_is_refused_before_it_is_unpacked(toy: Artifact, tmp_path: Path) -> None:
    path = tmp_path / "bomb.tflite"
    path.write_bytes(toy.path.read_bytes()[: toy.manifest.flatbuffer_bytes])
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("tfplus.json", b" " * (17 * 1024 * 1024))
    assert path.stat().st_size < 100_000
    with pytest.raises(ArtifactError, match="too big"):
        artifact.read(path)
