"""Whatever a reader is given: a documented error or an object, soon, and within its memory."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from readers.mutation import EDITS, Edit, changed
from readers.registry import TARGETS
from readers.target import Target, checked

_EDITS = st.builds(
    Edit,
    kind=st.sampled_from(sorted(EDITS)),
    place=st.floats(0, 1, exclude_max=True),
    length=st.integers(1, 300),
    number=st.integers(0, 255),
)
# The run of a journal is called as its folder is.
_FOLDER = "run"


@pytest.fixture(scope="module", params=sorted(TARGETS))
def target(request: pytest.FixtureRequest) -> Target:
    return TARGETS[request.param]


@pytest.fixture(scope="module")
def seeds(target: Target, tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    folder = tmp_path_factory.mktemp(target.name) / _FOLDER
    folder.mkdir()
    return target.seeds(folder)


def read(target: Target, content: bytes) -> str:
    with tempfile.TemporaryDirectory(prefix="tfplus-fuzz-") as name:
        folder = Path(name) / _FOLDER
        folder.mkdir()
        return checked(target, content, folder)


def test_seeds_are_read(target: Target, seeds: list[bytes]) -> None:
    assert {read(target, seed) for seed in seeds} >= {"read"}


@settings(max_examples=25)
@given(st.data())
def test_changed_seeds_are_read_or_refused(
    target: Target, seeds: list[bytes], data: st.DataObject
) -> None:
    seed = data.draw(st.sampled_from(seeds))
    edits = data.draw(st.lists(_EDITS, min_size=1, max_size=4))
    read(target, changed(seed, edits))


@settings(max_examples=8)
@given(content=st.binary(max_size=400))
def test_any_bytes_are_read_or_refused(target: Target, content: bytes) -> None:
    read(target, content)
