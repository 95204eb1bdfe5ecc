"""The noise of dropout: exact, the same everywhere, and without pattern."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import tensorflow as tf

from tfplus_export.lowering.engine import noise
from tfplus_export.lowering.engine.noise import PRIME
from tfplus_export.parity.reference.reference_noise import ReferenceNoise

RATE = 0.3


def in_integers(state: np.ndarray, layer: int, shape: list[int]) -> np.ndarray:
    """The residues k, by the formula of the module, in 64-bit integers."""
    per_sample = int(np.prod(shape[1:]))
    columns = noise.columns_of(per_sample)
    rows = shape[0] * per_sample // columns
    matrices = noise.row_constants(layer, rows).astype(np.int64).reshape(5, rows, 4)
    words = np.concatenate([[1], state.astype(np.int64) % PRIME - PRIME // 2])
    keys = (np.einsum("w,wrc->rc", words, matrices) % PRIME) ** 3 % PRIME - PRIME // 2
    products = keys @ noise.column_constants(layer, columns).astype(np.int64)
    return ((products % PRIME) ** 3 % PRIME).reshape(shape)


def standardized(u: np.ndarray) -> np.ndarray:
    """Whether each is kept at the rate of dropout, with mean 0 and variance 1."""
    dropped = np.ceil(RATE * PRIME - 0.5) / PRIME
    return ((u >= RATE) - (1 - dropped)) / np.sqrt(dropped * (1 - dropped))


def drawn(steps: int, shape: list[int], layer: int = 0, seed: int = 7) -> np.ndarray:
    state = tf.constant(noise.initial(seed))
    draw = tf.function(lambda s: (noise.uniform(s, layer, shape), noise.advanced(s)))
    drawn: list[np.ndarray] = []
    for _ in range(steps):
        u, state = draw(state)
        drawn.append(u.numpy())
    return np.stack(drawn)


def test_division_by_the_prime_is_exact_wherever_the_noise_divides() -> None:
    x = np.arange(-(2**24), 2**24 + 1, dtype=np.int32)
    quotient = np.floor(x.astype(np.float32) * np.float32(1 / PRIME)).astype(np.int32)
    assert (quotient == np.floor_divide(x, PRIME)).all()
    assert len({k**3 % PRIME for k in range(PRIME)}) == PRIME


@pytest.mark.parametrize("shape", [[4, 6], [3, 16, 16, 20], [2, 1, 1, 5], [1, 8209], [5, 1]])
@pytest.mark.parametrize("state", [(0, 0, 0, 0), (3622, 17, 3622, 3622), (123456, 1e7, 5, 0)])
def test_float32_computes_the_integers(shape: list[int], state: tuple[float, ...]) -> None:
    given = np.array(state, np.float32)
    u = noise.uniform(tf.constant(given), 3, shape).numpy()
    np.testing.assert_array_equal(np.rint(u * PRIME - 0.5), in_integers(given, 3, shape))
    assert u.min() > 0 and u.max() < 1


def test_the_reference_draws_the_same_by_another_way() -> None:
    reference = ReferenceNoise([[9, 40], [9, 4, 5]])
    state = tf.constant(noise.initial(0))
    for _ in range(3):
        np.testing.assert_array_equal(reference.state(), state.numpy())
        with reference.drawn():
            got = [tf.random.stateless_uniform(s, [1, 2]) for s in ([6, 40], [6, 4, 5])]
        for layer, u in enumerate(got):
            np.testing.assert_allclose(u, noise.uniform(state, layer, u.shape), atol=1e-6)
        reference.advance()
        state = noise.advanced(state)
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(
            tf.random.stateless_uniform([6, 40], [1, 2]), noise.uniform(state, 0, [6, 40])
        )


def test_a_step_counts_in_two_words_and_starts_again() -> None:
    last = float(PRIME - 1)
    for before, after in [
        ([1, 2, 3, 4], [1, 2, 4, 4]),
        ([1, 2, last, 4], [1, 2, 0, 5]),
        ([1, 2, last, last], [1, 2, 0, 0]),
    ]:
        state = tf.constant(np.array(before, np.float32))
        np.testing.assert_array_equal(noise.advanced(state), after)


def test_noise_of_a_sample_does_not_depend_on_the_batch() -> None:
    state = tf.constant(noise.initial(3))
    few, many = (noise.uniform(state, 0, [n, 12, 12, 40]).numpy() for n in (2, 8))
    np.testing.assert_array_equal(few, many[:2])


@pytest.mark.slow
def test_every_value_is_equally_frequent() -> None:
    k = np.rint(drawn(200, [32, 128]) * PRIME - 0.5).astype(int)
    counts = np.bincount(k.ravel(), minlength=PRIME)
    expected = k.size / PRIME
    chi_square = np.sum((counts - expected) ** 2 / expected)
    assert abs(chi_square - (PRIME - 1)) < 5 * np.sqrt(2 * (PRIME - 1))


@pytest.mark.slow
def test_as_many_are_dropped_in_each_step_row_column_and_unit() -> None:
    z = standardized(drawn(300, [32, 128]))
    for axes in itertools.chain.from_iterable(itertools.combinations((0, 1, 2), n) for n in (1, 2)):
        sums = z.sum(axes) / np.sqrt(np.prod([z.shape[a] for a in axes]))
        # Sums of independent terms are normal with variance 1.
        assert np.abs(sums).max() < 5.0, axes
        assert abs(np.mean(sums**2) - 1) < 5 * np.sqrt(2 / sums.size), axes


def correlations(z: np.ndarray) -> np.ndarray:
    """Of each pair of rows of [n, samples], scaled to variance 1 for independent ones."""
    matrix = z @ z.T / np.sqrt(z.shape[1])
    return matrix[np.triu_indices(len(z), 1)]


@pytest.mark.slow
@pytest.mark.parametrize("of", ["steps", "rows", "columns", "layers", "seeds"])
def test_pairs_are_independent(of: str) -> None:
    if of in ("layers", "seeds"):
        z = np.stack([standardized(drawn(4, [16, 64], **{of[:-1]: n})) for n in range(60)])
    else:
        axis = ("steps", "rows", "columns").index(of)
        z = np.moveaxis(standardized(drawn(200, [32, 128])), axis, 0)
    found = correlations(z.reshape(len(z), -1))
    assert np.abs(found).max() < 5.5
    assert abs(np.mean(found**2) - 1) < 0.15


@pytest.mark.slow
def test_rectangles_of_rows_and_columns_are_independent() -> None:
    # What sums of a number for the row and one for the column would fail at.
    z = standardized(drawn(200, [32, 128]))
    corners = z[:, :16, :64] * z[:, 16:, :64] * z[:, :16, 64:] * z[:, 16:, 64:]
    triples = z[:, :10] * z[:, 10:20] * z[:, 20:30]
    for product in (corners, triples):
        assert abs(product.mean()) * np.sqrt(product.size) < 5
