"""Sequence models and the data that they learn, all of it from packages that are installed.

The sequences are handwritten digits of scikit-learn, read row by row or pixel by pixel, and the
characters of its own descriptions of data sets. The last is a toy: it says whether an embedding
trains, not whether anybody should classify such text.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

# Of a text, the characters of one sample, and how far the next sample begins behind it.
FRAGMENT, STRIDE = 32, 4
# Of a text, the part that is learned; the rest is the test, so that no character is in both.
LEARNED = 0.7
DESCRIBED = ("breast_cancer", "diabetes", "digits", "iris", "linnerud", "wine")


@dataclass(frozen=True)
class Data:
    """Samples and their classes, int32 labels; what a model sees is [samples, time, ...]."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray


@dataclass(frozen=True)
class Task:
    """A model and what it learns.

    Attributes:
      data: makes the data.
      build: (shape of one sample, classes) → model that returns logits.
    """

    data: Callable[[], Data]
    build: Callable[[tuple[int, ...], int], keras.Model]


def digit_rows() -> Data:
    """Digits as eight rows of eight pixels, from 0 to 1."""
    return _split(*_digits(np.float32, 16.0))


def digit_tokens() -> Data:
    """Digits as 64 pixels, each of them one of 17 tokens."""
    x, y = _digits(np.int32, 1)
    return _split(x.reshape(len(x), -1), y)


def descriptions() -> Data:
    """Which of six descriptions a fragment of text is from; characters are tokens from 1 to 95."""
    from sklearn import datasets

    parts: list[list[np.ndarray]] = [[], [], [], []]
    for label, name in enumerate(DESCRIBED):
        text = getattr(datasets, f"load_{name}")().DESCR
        tokens = np.array([min(max(ord(c) - 31, 1), 95) for c in text], np.int32)
        cut = int(LEARNED * len(tokens))
        for place, half in enumerate((tokens[:cut], tokens[cut:])):
            starts = range(0, len(half) - FRAGMENT, STRIDE)
            parts[2 * place].append(np.stack([half[s : s + FRAGMENT] for s in starts]))
            parts[2 * place + 1].append(np.full(len(starts), label, np.int32))
    return Data(*(np.concatenate(part) for part in parts))


def from_file(path: Path) -> Data:
    """`x_train`, `y_train`, `x_test`, `y_test` of an .npz file, standardized by the training part.

    Raises:
      KeyError: one of the four is not in the file.
    """
    with np.load(path, allow_pickle=False) as held:
        x, y, x_test, y_test = (held[n] for n in ("x_train", "y_train", "x_test", "y_test"))
    mean, deviation = x.mean(dtype=np.float64), x.std(dtype=np.float64)
    x, x_test = (((v - mean) / deviation).astype(np.float32) for v in (x, x_test))
    return Data(x, y.astype(np.int32), x_test, y_test.astype(np.int32))


class Positions(layers.Layer):
    """Adds a trained row for each position."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self._steps = steps
        self._table = layers.Embedding(steps, 32)

    def call(self, hidden: Any) -> Any:
        """Of [batch, time, 32]."""
        return hidden + self._table(keras.ops.arange(self._steps))


def lstm(shape: tuple[int, ...], classes: int) -> keras.Model:
    """Two LSTMs."""
    x = keras.Input(shape)
    hidden = layers.LSTM(32)(layers.LSTM(32, return_sequences=True)(x))
    return keras.Model(x, layers.Dense(classes)(hidden))


def transformer(shape: tuple[int, ...], classes: int) -> keras.Model:
    """Two encoder blocks over the rows of a sequence, with trained positions."""
    x = keras.Input(shape)
    return _encoder(x, layers.Dense(32)(x), shape[0], classes)


def token_transformer(shape: tuple[int, ...], classes: int) -> keras.Model:
    """The same over tokens."""
    x = keras.Input(shape, dtype="int32")
    return _encoder(x, layers.Embedding(17, 32)(x), shape[0], classes)


def cnn(shape: tuple[int, ...], classes: int) -> keras.Model:
    """Convolutions over time."""
    x = keras.Input(shape)
    hidden = layers.Conv1D(32, 3, padding="causal", activation="relu")(x)
    hidden = layers.MaxPooling1D(2)(hidden)
    hidden = layers.Conv1D(64, 3, padding="same", activation="relu")(hidden)
    return keras.Model(x, layers.Dense(classes)(layers.GlobalAveragePooling1D()(hidden)))


def characters(shape: tuple[int, ...], classes: int) -> keras.Model:
    """A GRU both ways over embedded characters."""
    x = keras.Input(shape, dtype="int32")
    hidden = layers.Bidirectional(layers.GRU(24))(layers.Embedding(96, 16, mask_zero=True)(x))
    return keras.Model(x, layers.Dense(classes)(hidden))


def _encoder(x: Any, hidden: Any, steps: int, classes: int) -> keras.Model:
    hidden = Positions(steps)(hidden)
    for _ in range(2):
        attended = layers.MultiHeadAttention(4, 8)(hidden, hidden)
        hidden = layers.LayerNormalization()(layers.Add()([hidden, attended]))
        wide = layers.Dense(64, activation="gelu")(hidden)
        hidden = layers.LayerNormalization()(layers.Add()([hidden, layers.Dense(32)(wide)]))
    return keras.Model(x, layers.Dense(classes)(layers.GlobalAveragePooling1D()(hidden)))


def _digits(dtype: Any, scale: float) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits

    held: Any = load_digits()
    return (held.images / scale).astype(dtype), held.target.astype(np.int32)


def _split(x: np.ndarray, y: np.ndarray) -> Data:
    """Every third sample is of the test."""
    test = np.arange(len(x)) % 3 == 0
    return Data(x[~test], y[~test], x[test], y[test])


TASKS: dict[str, Task] = {
    "lstm": Task(digit_rows, lstm),
    "transformer": Task(digit_rows, transformer),
    "cnn": Task(digit_rows, cnn),
    "token-transformer": Task(digit_tokens, token_transformer),
    "characters": Task(descriptions, characters),
}
