"""What trains: `--freeze` and `--train`, from what the user writes to variables that do not train.

Layers are the model's own, with those of nested models in their place; what a layer holds inside
(a wrapped layer, the projections of an attention) belongs to it. Layers without weights that could
train do not count.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import keras

from tfplus.errors import UsageError
from tfplus.tensors.slices import task_of
from tfplus_export.tracing.naming import variable_names

# The additive weights of Keras' layers: `bias` of most, `beta` of normalizations.
_BIASES = frozenset({"bias", "beta"})
_MOST_NAMES = 40


@dataclass(frozen=True)
class Layer:
    """A layer with weights that could train.

    Attributes:
      layer: the Keras layer.
      names: its own, and those of the nested models that it is in.
      slices: id of a variable of the model → its slice name.
    """

    layer: Any
    names: tuple[str, ...]
    slices: Mapping[int, str]

    @property
    def variables(self) -> list[Any]:
        """Its variables that could train, whether or not they do."""
        return [v for part in self.layer._flatten_layers() for v in part._trainable_variables]

    def slice_of(self, variable: Any) -> str:
        """The slice name of one of its variables."""
        return self.slices[id(variable)]


@dataclass(frozen=True)
class Freeze:
    """Which variables of a model do not train.

    Attributes:
      slices: their slice names. A sub-model has the same names for the slices that it has.
      asked: what the user wrote, for reports; empty where nothing is frozen.
    """

    slices: frozenset[str] = frozenset()
    asked: tuple[str, ...] = ()

    @contextlib.contextmanager
    def applied(self, model: keras.Model) -> Generator[None]:
        """Freezes the variables in the model, and puts its own flags back afterwards.

        A layer of which any variable is frozen counts as frozen itself, so that a batch
        normalization runs in inference mode; the flags of its other variables stay.
        """
        untyped: Any = model
        layers = untyped._flatten_layers()
        layer_flags = [layer.trainable for layer in layers]
        flags = [variable.trainable for variable in model.variables]
        try:
            for found in layers_of(model):
                training = [v for v in found.variables if v.trainable]
                kept = [v for v in training if found.slice_of(v) not in self.slices]
                if len(kept) < len(training):
                    found.layer.trainable = False
                    for variable in kept:
                        variable.trainable = True
            yield
        finally:
            for layer, flag in zip(layers, layer_flags, strict=True):
                layer._trainable = flag
            for variable, flag in zip(model.variables, flags, strict=True):
                variable.trainable = flag


def select(
    model: keras.Model, freeze: Sequence[str], train: Sequence[str], *, shared: bool = False
) -> Freeze:
    """Finds the variables that the options freeze.

    Args:
      model: built.
      freeze: each a layer's name, a pattern such as `block1_*`, or the number of layers from the
        input.
      train: each `bias` (biases alone train, as in TinyTL: Cai et al., NeurIPS 2020) or `last:K`
        (the last K layers alone do). A variable trains if no option freezes it.
      shared: whether everything that belongs to no class is frozen.

    Raises:
      UsageError: an option names no layer, is not understood, or nothing is left to train.

    Examples:
      >>> import keras
      >>> from tfplus_export.train_step.trainable import select
      >>> layers = [keras.layers.Dense(3, name="body"), keras.layers.Dense(2, name="head")]
      >>> model = keras.Sequential([keras.Input((4,)), *layers])
      >>> sorted(select(model, freeze=["body"], train=[]).slices)
      ['shared/body/bias', 'shared/body/kernel']
    """
    layers = layers_of(model)
    every = _slices(layers)
    frozen = {name for text in freeze for name in _slices(_named(layers, text))}
    for text in train:
        frozen |= every - _trained(layers, text)
    if shared:
        frozen |= _shared(model, every)
    asked = (
        *(f"--freeze {t}" for t in freeze),
        *(f"--train {t}" for t in train),
        *(["--frozen-shared"] if shared else []),
    )
    training = {e.slice_of(v) for e in layers for v in e.variables if v.trainable}
    if frozen and training <= frozen:
        raise UsageError(
            f"{' '.join(asked)}: freezes everything that trains; the layers with weights are "
            f"{_listed(layers)}"
        )
    return Freeze(frozenset(frozen), asked)


def layers_of(model: keras.Model) -> list[Layer]:
    """The layers with weights that could train, from the input on."""
    found: list[Layer] = []
    pending: list[tuple[Any, tuple[str, ...]]] = [(layer, ()) for layer in reversed(model.layers)]
    seen: set[int] = set()
    slices = variable_names(model)
    while pending:
        layer, outer = pending.pop()
        names = (*outer, layer.name)
        if isinstance(layer, keras.Model):
            pending.extend((inner, names) for inner in reversed(layer.layers))
            continue
        candidate = Layer(layer, names, slices)
        if candidate.variables and id(layer) not in seen:
            seen.add(id(layer))
            found.append(candidate)
    return found


def _named(layers: list[Layer], text: str) -> list[Layer]:
    found = [e for e in layers if any(fnmatchcase(name, text) for name in e.names)]
    if found:
        return found
    if not text.isdecimal():
        raise UsageError(
            f"--freeze '{text}' names no layer with weights: expected one of {_listed(layers)}, a "
            "pattern such as 'block1_*', or the number of layers from the input"
        )
    return layers[: _count("--freeze", text, text, layers)]


def _slices(layers: Sequence[Layer]) -> set[str]:
    return {found.slice_of(v) for found in layers for v in found.variables}


def _trained(layers: list[Layer], text: str) -> set[str]:
    kind, colon, number = text.partition(":")
    if text == "bias":
        return {e.slice_of(v) for e in layers for v in e.variables if v.name in _BIASES}
    if kind != "last" or not colon or not number.isdecimal():
        raise UsageError(f"--train '{text}': expected bias, or last:K such as last:2")
    count = _count("--train", text, number, layers)
    return _slices(layers[-count:])


def _shared(model: keras.Model, every: set[str]) -> set[str]:
    found = {name for name in every if task_of(name) is None}
    if found == every:
        raise UsageError(
            f"--frozen-shared: model '{model.name}' has no branches of classes, layers named "
            "task_<class>_<layer>: expected a plan of `tfplus decouple`, or a model like zoo:digits"
        )
    return found


def _count(option: str, text: str, number: str, layers: list[Layer]) -> int:
    count = int(number)
    if not 1 <= count <= len(layers):
        raise UsageError(
            f"{option} {text}: expected 1 to {len(layers)} layers, the layers with weights being "
            f"{_listed(layers)}"
        )
    return count


def _listed(layers: list[Layer]) -> str:
    names = [found.names[-1] for found in layers]
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + more
