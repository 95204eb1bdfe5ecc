from __future__ import annotations

import itertools

import numpy as np
import pytest

from tfplus.errors import TensorError
from tfplus.gossip.membership.topology import mesh, ring
from tfplus.gossip.messages import RoundContribution
from tfplus.gossip.mixing.metropolis import Metropolis, metropolis_weights
from tfplus.tensors.slice_set import SliceSet

mix = Metropolis().mix


def contribution(
    peer: str, tensors: dict[str, object], degree: int = 2, weights: dict[str, float] | None = None
) -> RoundContribution:
    arrays = SliceSet({n: np.asarray(t, np.float32) for n, t in tensors.items()})
    return RoundContribution(peer, 1, 1, degree, arrays, weights or dict.fromkeys(arrays, 1.0))


def mixing_matrix(neighbours: dict[str, tuple[str, ...]]) -> np.ndarray:
    """Column j is what `mix` makes of the j-th unit vector: the matrix M, read off from outside."""
    names = list(neighbours)
    M = np.zeros((len(names), len(names)))
    for j in range(len(names)):
        values = {n: [1.0 if k == j else 0.0] for k, n in enumerate(names)}
        for i, name in enumerate(names):
            own, *received = (
                contribution(n, {"shared/a": values[n]}, len(neighbours[n]))
                for n in (name, *neighbours[name])
            )
            M[i, j] = mix(own, received)["shared/a"][0]
    return M


@pytest.mark.parametrize(
    ("degree", "answered", "expected"),
    [
        (1, {"b": 1}, {"b": 1 / 2}),
        (2, {"b": 2, "c": 2}, {"b": 1 / 3, "c": 1 / 3}),
        (2, {"b": 5}, {"b": 1 / 6}),
        (4, {"b": 1, "c": 9}, {"b": 1 / 5, "c": 1 / 10}),
        (3, {}, {}),
    ],
)
def test_metropolis_table(
    degree: int, answered: dict[str, int], expected: dict[str, float]
) -> None:
    assert metropolis_weights(degree, answered) == pytest.approx(expected)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("topology", [ring, mesh])
def test_matrix_is_doubly_stochastic_and_symmetric(count: int, topology: object) -> None:
    M = mixing_matrix(topology([f"n{i}" for i in range(count)]))  # type: ignore[operator]
    np.testing.assert_allclose(M.sum(0), 1, atol=1e-6)
    np.testing.assert_allclose(M.sum(1), 1, atol=1e-6)
    np.testing.assert_allclose(M, M.T, atol=1e-6)
    assert (M >= 0).all()


def test_unequal_degrees_still_keep_the_mean() -> None:
    star = {"hub": ("a", "b", "c"), "a": ("hub",), "b": ("hub",), "c": ("hub", "d"), "d": ("c",)}
    M = mixing_matrix(star)
    np.testing.assert_allclose(M.sum(0), 1, atol=1e-6)


@pytest.mark.parametrize("count", [4, 5, 8])
def test_ring_converges_to_the_mean_at_its_spectral_rate(count: int) -> None:
    neighbours = ring([f"n{i}" for i in range(count)])
    rate = max(abs(1 + 2 * np.cos(2 * np.pi * k / count)) / 3 for k in range(1, count))
    x = np.cos(2 * np.pi * np.arange(count) / count).astype(np.float32) + 1
    values = dict(zip(neighbours, x, strict=True))
    error = [float(np.linalg.norm(x - x.mean()))]
    for _ in range(6):
        values = {
            n: mix(
                contribution(n, {"shared/a": [values[n]]}),
                [contribution(p, {"shared/a": [values[p]]}) for p in neighbours[n]],
            )["shared/a"][0]
            for n in neighbours
        }
        error.append(float(np.linalg.norm(np.array(list(values.values())) - x.mean())))
    # The start is the slowest eigenvector, so the error shrinks by exactly the rate.
    for before, after in itertools.pairwise(error):
        assert after == pytest.approx(rate * before, rel=1e-3)


def test_slice_is_mixed_over_its_holders_only() -> None:
    own = contribution("a", {"shared/k": [0.0], "task/1/k": [0.0], "task/2/k": [5.0]})
    left = contribution("b", {"shared/k": [3.0], "task/1/k": [6.0], "task/9/k": [1.0]})
    right = contribution("c", {"shared/k": [6.0]})
    mixed = mix(own, [left, right])
    assert list(mixed) == ["shared/k", "task/1/k", "task/2/k"]
    assert mixed["shared/k"][0] == pytest.approx(3.0)
    assert mixed["task/1/k"][0] == pytest.approx(2.0)
    assert mixed["task/2/k"][0] == 5.0


def test_sample_weights() -> None:
    own = contribution("a", {"shared/k": [0.0]}, weights={"shared/k": 10})
    left = contribution("b", {"shared/k": [1.0]}, weights={"shared/k": 30})
    right = contribution("c", {"shared/k": [2.0]}, weights={"shared/k": 20})
    assert mix(own, [left, right])["shared/k"][0] == pytest.approx((30 + 40) / 60)


def test_weight_zero_brings_nothing_and_all_zero_is_unweighted() -> None:
    own = contribution("a", {"task/1/k": [1.0]}, weights={"task/1/k": 0})
    taught = contribution("b", {"task/1/k": [4.0]}, weights={"task/1/k": 7})
    assert mix(own, [taught])["task/1/k"][0] == 4.0
    idle = contribution("b", {"task/1/k": [4.0]}, weights={"task/1/k": 0})
    assert mix(own, [idle])["task/1/k"][0] == pytest.approx(2.0)


def test_order_of_arrival_does_not_change_a_bit() -> None:
    # Values that a sum in another order would lose.
    own, *others = (
        contribution(n, {"shared/k": [v]}, 3)
        for n, v in {"a": 0.0, "b": 1e30, "c": -1e30, "d": 1.0}.items()
    )
    forward = mix(own, others)["shared/k"].tobytes()
    assert forward == mix(own, others[::-1])["shared/k"].tobytes()


def test_shapes_that_differ_are_refused() -> None:
    with pytest.raises(TensorError, match="shared/k"):
        mix(contribution("a", {"shared/k": [1.0]}), [contribution("b", {"shared/k": [1.0, 2.0]})])
