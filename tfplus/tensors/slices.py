"""Task slices: the unit in which devices exchange what they learn.

A slice is one whole tensor under a name, `shared/<tensor>` or `task/<class>/<tensor>`. Layers that
belong to one class are named `task_<class>_<layer>`, every other layer is shared. Two devices hold
the same slice when name, dtype and shape are equal; what one device alone holds is kept by it.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from tfplus.errors import TensorError

Tensor = npt.NDArray[np.generic]
Tensors = Mapping[str, Tensor]
# Name → (shape, dtype name).
Specs = Mapping[str, tuple[tuple[int, ...], str]]

SHARED = "shared"
TASK = "task"
OPTIMIZER = "optimizer"
# Values that, with their sum in float64, stay in a processor's cache.
_BLOCK = 1 << 15
_FINITE_BLOCK = 1 << 16

_TASK_LAYER = re.compile(r"^task_([A-Za-z0-9-]+)_(.+)$")


def slice_name(layer: str, tensor: str) -> str:
    """Names the slice of a layer's tensor.

    Args:
      layer: Keras layer name; `task_<class>_<layer>` belongs to one class.
      tensor: name of the variable within its layer, such as `kernel`.

    Returns:
      `task/<class>/<layer>/<tensor>` or `shared/<layer>/<tensor>`.
    """
    match = _TASK_LAYER.match(layer)
    if match:
        return f"{TASK}/{match[1]}/{match[2]}/{tensor}"
    return f"{SHARED}/{layer}/{tensor}"


def layer_of(name: str) -> str:
    """Returns the path of the Keras layer that a variable belongs to.

    Args:
      name: of a slice, or of what an optimizer keeps for one; for what belongs to no layer, such as
        `optimizer/learning_rate`, its first component is returned.
    """
    kind, _, rest = name.partition("/")
    if kind == OPTIMIZER and "/" in rest:
        return layer_of(rest.partition("/")[2])
    path = rest.rpartition("/")[0]
    if kind == TASK:
        task, _, layer = path.partition("/")
        return f"{TASK}_{task}_{layer}"
    return path or kind


def weight_of(name: str) -> str:
    """Returns the weight that an optimizer keeps a variable for; any other name as it is."""
    kind, _, rest = name.partition("/")
    weight = rest.partition("/")[2] if kind == OPTIMIZER else ""
    return weight or name


def task_of(name: str) -> str | None:
    """Returns the class that the slice `name` belongs to, or None for a shared slice."""
    kind, _, rest = name.partition("/")
    return rest.partition("/")[0] if kind == TASK else None


def is_slice(name: str) -> bool:
    """Whether a variable is a slice, rather than state that stays on its device."""
    return name.partition("/")[0] in (SHARED, TASK)


def select(names: Iterable[str], prefixes: Sequence[str]) -> list[str]:
    """Returns the slices under any of `prefixes` (whole path components); all when none is given.

    Raises:
      TensorError: a prefix matches no slice.
    """
    names = list(names)
    if not prefixes:
        return names
    chosen: set[str] = set()
    for prefix in prefixes:
        hits = [n for n in names if n == prefix or n.startswith(prefix.rstrip("/") + "/")]
        if not hits:
            kinds = sorted({"/".join(n.split("/")[:2]) for n in names if n.startswith(TASK)})
            raise TensorError(
                f"no slice under '{prefix}': expected '{SHARED}', a slice's name, or one of {kinds}"
            )
        chosen.update(hits)
    return [n for n in names if n in chosen]


def schema_hash(tensors: Tensors) -> str:
    """SHA-256 (hex) over the sorted names, dtypes and shapes, not the values."""
    return hash_of_layouts(tuple(sorted(specs_of(tensors).items())))


@lru_cache(maxsize=64)
def hash_of_layouts(layouts: tuple[tuple[str, tuple[tuple[int, ...], str]], ...]) -> str:
    """`schema_hash` of tensors: (name, (shape, dtype name)) of each, sorted by name.

    Kept for the last ones that were asked for: a device asks for the same in every round.
    """
    schema = [[name, dtype, list(shape)] for name, (shape, dtype) in layouts]
    return hashlib.sha256(json.dumps(schema, separators=(",", ":")).encode()).hexdigest()


@dataclass(frozen=True)
class Contribution:
    """What one device brings to an average.

    Attributes:
      tensors: the slices it holds, float32.
      weights: weight of each slice, same keys; a slice of weight 0 is held but brings nothing.
    """

    tensors: Tensors
    weights: Mapping[str, float]


def average(contributions: Sequence[Contribution]) -> dict[str, Tensor]:
    """Averages every slice over those who hold it: Σ w_i x_i / Σ w_i.

    The sum runs in float64 and in the given order, so equal inputs give equal bits.

    Args:
      contributions: at least one; a slice's dtype and shape are the same in all.

    Returns:
      Every slice that anyone holds, in the dtype it came in. A slice whose weights are all zero is
      the plain mean of its holders.

    Raises:
      TensorError: shapes or dtypes of a slice differ, or a weight is negative or not finite.
    """
    names: dict[str, None] = {}
    for contribution in contributions:
        names.update(dict.fromkeys(contribution.tensors))
    return {name: _average_slice(name, contributions) for name in names}


def _average_slice(name: str, contributions: Sequence[Contribution]) -> Tensor:
    holders = [c for c in contributions if name in c.tensors]
    first = holders[0].tensors[name]
    weights: list[float] = []
    for holder in holders:
        tensor = holder.tensors[name]
        if tensor.shape != first.shape or tensor.dtype != first.dtype:
            raise TensorError(
                f"slice '{name}': expected {first.dtype}{list(first.shape)} as its first holder "
                f"has, got {tensor.dtype}{list(tensor.shape)}"
            )
        weight = float(holder.weights.get(name, 1.0))
        if not math.isfinite(weight) or weight < 0:
            raise TensorError(f"slice '{name}': expected a finite weight >= 0, got {weight}")
        weights.append(weight)
    if not any(weights):
        weights = [1.0] * len(holders)
    # Scaled before the sum, so that no weight, however large, overflows it.
    largest = max(weights)
    shares = [w / largest for w in weights]
    brought = [
        (share, np.ascontiguousarray(holder.tensors[name]).reshape(-1))
        for share, holder in zip(shares, holders, strict=True)
        if share > 0
    ]
    return _weighted_mean(brought, sum(shares)).reshape(first.shape)


def _weighted_mean(brought: Sequence[tuple[float, Tensor]], whole: float) -> Tensor:
    """Σ share · values / whole of flat arrays, in float64 and in the order given.

    Block by block: of an array as large as a model the sum would go to memory and back for each.
    """
    first = brought[0][1]
    mean = np.empty(first.size, first.dtype)
    total = np.empty(min(_BLOCK, first.size), np.float64)
    scaled = np.empty_like(total)
    for start in range(0, first.size, _BLOCK):
        size = min(_BLOCK, first.size - start)
        total[:size] = 0.0
        for share, values in brought:
            part = values[start : start + size]
            total[:size] += np.multiply(part, share, out=scaled[:size], dtype=np.float64)
        mean[start : start + size] = total[:size] / whole
    return mean


def specs_of(tensors: Tensors) -> dict[str, tuple[tuple[int, ...], str]]:
    """Name → (shape, dtype name) of tensors."""
    return {name: (t.shape, t.dtype.name) for name, t in tensors.items()}


def check_against(tensors: Tensors, expected: Specs) -> None:
    """Checks that `tensors` are exactly the expected ones, before any of them is used.

    Args:
      tensors: name → array.
      expected: name → (shape, dtype name).

    Raises:
      TensorError: as `check_specs`, or naming a tensor that holds NaN or infinity.
    """
    check_specs(specs_of(tensors), expected)
    for name, tensor in tensors.items():
        if not all_finite(tensor):
            raise not_finite(name)


def not_finite(name: str) -> TensorError:
    """The error of a tensor that holds NaN or infinity."""
    return TensorError(f"tensor '{name}': expected finite values, got NaN or infinity")


def check_specs(specs: Specs, expected: Specs) -> None:
    """Checks that tensors would be exactly the expected ones.

    Raises:
      TensorError: naming the first tensor that is missing, unknown, or of another shape or dtype.
    """
    missing = sorted(set(expected) - set(specs))
    unknown = sorted(set(specs) - set(expected))
    if missing or unknown:
        raise TensorError(
            f"tensors do not match the model: missing {missing[:4]}, unknown {unknown[:4]} "
            f"({len(expected)} expected, {len(specs)} came)"
        )
    _check_shapes(specs, expected)


def check_held(tensors: Tensors, expected: Specs) -> None:
    """Checks that `tensors` hold the expected ones; others and values are not looked at.

    Raises:
      TensorError: naming the first tensor that is missing, or of another shape or dtype.
    """
    missing = sorted(set(expected) - set(tensors))
    if missing:
        raise TensorError(
            f"tensors do not match the model: missing {missing[:4]} ({len(expected)} expected)"
        )
    _check_shapes(specs_of(tensors), expected)


def _check_shapes(specs: Specs, expected: Specs) -> None:
    for name, (shape, dtype) in expected.items():
        found, kind = specs[name]
        if tuple(found) != tuple(shape) or kind != dtype:
            raise TensorError(
                f"tensor '{name}': expected {dtype}{list(shape)}, got {kind}{list(found)}"
            )


def all_finite(tensor: Tensor) -> bool:
    """Whether a tensor holds neither NaN nor infinity."""
    if tensor.dtype.kind != "f":
        return True
    if not tensor.flags.c_contiguous:
        return bool(np.isfinite(tensor).all())
    # In blocks that stay in a processor's cache, and so do the answers.
    flat = tensor.reshape(-1)
    blocks = range(0, flat.size, _FINITE_BLOCK)
    return all(bool(np.isfinite(flat[i : i + _FINITE_BLOCK]).all()) for i in blocks)
