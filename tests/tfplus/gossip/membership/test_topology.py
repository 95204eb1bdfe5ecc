from __future__ import annotations

import pytest

from tfplus.errors import UsageError
from tfplus.gossip.membership.topology import mesh, ring
from tfplus.gossip.mixing.sample_weights import slice_weights


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([], {}),
        (["a"], {"a": ()}),
        (["a", "b"], {"a": ("b",), "b": ("a",)}),
        (["a", "b", "c"], {"a": ("c", "b"), "b": ("a", "c"), "c": ("b", "a")}),
        (
            ["a", "b", "c", "d"],
            {"a": ("d", "b"), "b": ("a", "c"), "c": ("b", "d"), "d": ("c", "a")},
        ),
    ],
)
def test_ring(names: list[str], expected: dict[str, tuple[str, ...]]) -> None:
    assert ring(names) == expected


def test_mesh() -> None:
    assert mesh(["a", "b", "c"]) == {"a": ("b", "c"), "b": ("a", "c"), "c": ("a", "b")}


@pytest.mark.parametrize("topology", [ring, mesh])
def test_a_name_that_comes_twice_is_refused(topology: object) -> None:
    with pytest.raises(UsageError, match="'a' comes twice"):
        topology(["a", "b", "a"])  # type: ignore[operator]


def test_slice_weights() -> None:
    names = ["shared/c/kernel", "task/3/d/bias", "task/7/d/bias"]
    assert slice_weights(names, 14) == dict.fromkeys(names, 14.0)
