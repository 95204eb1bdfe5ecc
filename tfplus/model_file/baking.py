"""A plain inference model with trained weights, made without TensorFlow.

An exported file may carry two graphs beside that of training: `infer`, whose weights are constants
that are left out of the file, and `constants`, which computes those from weights: batch
normalization, for one, is taken into the filters before it. Running the second and writing what it
returns into the first gives a model of one signature that any runtime takes.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tfplus.errors import ArtifactError, MissingExtraError, TensorError
from tfplus.model_file.companion_graphs import InferenceConstant
from tfplus.tensors.slices import Tensors

# Of what `infer` computes with the graph of training: filters are multiplied by scales before the
# sum over products, not behind it.
TOLERANCE = 1e-4
_MODULES = ("ai_edge_litert.interpreter", "tflite_runtime.interpreter")


@dataclass(frozen=True)
class Inference:
    """Both graphs.

    Attributes:
      infer: the flatbuffer of inference; what lies in the places of its constants does not matter.
      constants: the flatbuffer that computes them, name → array, from weights by name.
      places: where each constant lies in `infer`.
    """

    infer: bytes
    constants: bytes
    places: tuple[InferenceConstant, ...]


def without_constants(inference: Inference) -> bytes:
    """`infer` with its constants cut out, as it lies in an exported file."""
    pieces: list[bytes] = []
    end = 0
    for place in _ordered(inference.places):
        pieces.append(inference.infer[end : place.offset])
        end = place.offset + place.size_bytes
    return b"".join([*pieces, inference.infer[end:]])


def with_room(cut: bytes, places: Sequence[InferenceConstant]) -> bytes:
    """`infer` with zeros for its constants, of what `without_constants` left."""
    pieces: list[bytes] = []
    taken = made = 0
    for place in _ordered(places):
        gap = place.offset - made
        pieces += [cut[taken : taken + gap], bytes(place.size_bytes)]
        taken, made = taken + gap, place.offset + place.size_bytes
    return b"".join([*pieces, cut[taken:]])


def filled(inference: Inference, weights: Tensors) -> bytes:
    """`infer` with the constants that belong to weights.

    Args:
      inference: both graphs.
      weights: name → float32 array, at least those that inference reads.

    Raises:
      ArtifactError: the runtime does not take the graph of constants.
      TensorError: a weight is missing or has another shape.
      MissingExtraError: no runtime is installed.
    """
    (runner,) = _runners(inference.constants, "constants")
    given: dict[str, npt.NDArray[np.float32]] = {}
    for name, detail in runner.get_input_details().items():
        shape = tuple(int(d) for d in detail["shape"])
        if name not in weights or weights[name].shape != shape:
            found = list(weights[name].shape) if name in weights else "none"
            raise TensorError(f"'{name}': expected float32{list(shape)}, got {found}")
        given[name] = np.ascontiguousarray(weights[name], np.float32)
    values = runner(**given)
    content = bytearray(inference.infer)
    for place in inference.places:
        value = values.get(place.name)
        if value is None or value.shape != place.shape:
            raise ArtifactError(f"the graph of constants does not compute '{place.name}'")
        raw = np.ascontiguousarray(value.transpose(place.order), "<f4").tobytes()
        content[place.offset : place.offset + len(raw)] = raw
    return bytes(content)


def difference(frozen: bytes, training: bytes, variables: Tensors, inputs: Tensors) -> float:
    """How far a frozen model is off the graph that trains, relative to the largest output.

    What is not finite agrees with nothing: that is infinitely far.

    Args:
      frozen: of one signature, `infer`.
      training: with the signatures `infer` and `restore`.
      variables: every variable of it.
      inputs: of `infer`.

    Raises:
      ArtifactError: the runtime does not take one of them.
      MissingExtraError: no runtime is installed.
    """
    restore, reference = _runners(training, "restore", "infer")
    (candidate,) = _runners(frozen, "infer")
    restore(**{n: np.asarray(v) for n, v in variables.items()})
    wanted: Mapping[str, Any] = reference(**inputs)
    found: Mapping[str, Any] = candidate(**inputs)
    return max((_off(found[name], value) for name, value in wanted.items()), default=0.0)


def _off(found: npt.NDArray[Any], wanted: npt.NDArray[Any]) -> float:
    if not (np.isfinite(found).all() and np.isfinite(wanted).all()):
        return np.inf
    largest = float(np.max(np.abs(wanted), initial=0.0))
    return float(np.max(np.abs(found - wanted), initial=0.0)) / (largest or 1.0)


def _ordered(places: Sequence[InferenceConstant]) -> list[InferenceConstant]:
    return sorted(places, key=lambda place: place.offset)


def _runners(content: bytes, *signatures: str) -> list[Any]:
    try:
        interpreter = _interpreter(content)
        return [interpreter.get_signature_runner(name) for name in signatures]
    except (ValueError, RuntimeError) as error:
        raise ArtifactError(f"the runtime does not take the graph: {error}") from None


def _interpreter(content: bytes) -> Any:
    for name in _MODULES:
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue
        return module.Interpreter(model_content=content, num_threads=1)
    raise MissingExtraError.of("tfplus freeze", "agent")
