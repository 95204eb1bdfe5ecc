"""A set of tensors: nobody writes to it, and each hash is computed once, whoever asks."""

from __future__ import annotations

import doctest
import hashlib
import threading
from concurrent import futures

import numpy as np
import pytest

from tfplus.tensors import slice_set
from tfplus.tensors.slice_set import SliceSet


def tensors() -> dict[str, np.ndarray]:
    kernel = np.arange(6, dtype=np.float32).reshape(2, 3)
    return {"shared/k": kernel, "shared/b": kernel[0] + 1, "optimizer/m": kernel.T}


def sha256(array: np.ndarray) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).digest()


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sizes of the arrays that were hashed."""
    sizes: list[int] = []
    real = slice_set.tensor_hash
    monkeypatch.setattr(
        slice_set, "tensor_hash", lambda array: (sizes.append(array.nbytes), real(array))[1]
    )
    return sizes


def test_sets_made_of_one_another_hash_each_array_once(hashed: list[int]) -> None:
    held = SliceSet(tensors())
    assert held.known_hashes == {}
    expected = {name: sha256(array) for name, array in tensors().items()}
    weights = held.only(["shared/b", "shared/k"])
    assert list(weights) == ["shared/b", "shared/k"]
    assert weights.hashes() == {name: expected[name] for name in weights}
    assert held.known_hashes == weights.hashes()
    assert held.hashes() == expected
    assert SliceSet.of(held).hashes() == held.only(held).hashes() == expected
    assert sorted(hashed) == [12, 24, 24]
    mixed = held.replaced({"shared/b": np.zeros(3, np.float32)})
    assert list(mixed) == list(held)
    assert mixed.hashes() == {**expected, "shared/b": sha256(np.zeros(3, np.float32))}
    assert len(hashed) == 4
    assert weights.joined(held.only(["optimizer/m"])).hashes() == expected
    assert len(hashed) == 4


def test_threads_that_ask_at_once_hash_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    together = threading.Barrier(4)

    def slow(array: np.ndarray) -> bytes:
        asked.append(1)
        # Whoever waits at a lock now would hash a second time without it.
        while not all_asked.is_set() and not all_asked.wait(5):
            pass
        return b"digest"

    all_asked = threading.Event()
    monkeypatch.setattr(slice_set, "tensor_hash", slow)
    held = SliceSet({"shared/k": np.ones(3, np.float32)})

    def ask() -> dict[str, bytes]:
        together.wait(5)
        return held.only(["shared/k"]).hashes()

    with futures.ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(ask) for _ in range(4)]
        all_asked.set()
        assert [a.result(10) for a in asking] == [{"shared/k": b"digest"}] * 4
    assert len(asked) == 1


def test_nobody_writes_to_what_others_look_at() -> None:
    own = tensors()
    held = SliceSet(own)
    with pytest.raises(ValueError, match="read-only"):
        held["shared/k"][0] = 1
    own["shared/k"].flags.writeable = True
    assert held.size_bytes == sum(array.nbytes for array in own.values())


def test_known_hashes_are_believed_and_damage_is_found(hashed: list[int]) -> None:
    right = sha256(tensors()["shared/k"])
    held = SliceSet(tensors(), {"shared/k": right, "shared/b": b"another", "elsewhere": b""})
    assert held.known_hashes == {"shared/k": right, "shared/b": b"another"}
    assert held.hashes()["shared/b"] == b"another"
    assert hashed == [24]
    assert SliceSet(tensors(), {"shared/k": right, "shared/b": b"another"}).damaged() == [
        "shared/b"
    ]
    assert SliceSet(tensors()).damaged() == []


def test_sets_are_equal_by_identity() -> None:
    held = SliceSet(tensors())
    assert held == SliceSet.of(held)
    assert held != SliceSet(tensors())
    assert len({held, SliceSet.of(held)}) == 1


def test_the_example_of_the_docstring_holds() -> None:
    found = doctest.testmod(slice_set)
    assert found.attempted
    assert not found.failed
