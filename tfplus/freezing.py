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
from tfplus.manifest import InferenceConstant
from tfplus.slices import Tensors

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
      TensorError: a weight is missing or has another shape.
      MissingExtraError: no runtime is installed.
    """
    runner = _interpreter(inference.constants).get_signature_runner("constants")
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

    Args:
      frozen: of one signature, `infer`.
      training: with the signatures `infer` and `restore`.
      variables: every variable of it.
      inputs: of `infer`.

    Raises:
      MissingExtraError: no runtime is installed.
    """
    reference = _interpreter(training)
    reference.get_signature_runner("restore")(**{n: np.asarray(v) for n, v in variables.items()})
    wanted: Mapping[str, Any] = reference.get_signature_runner("infer")(**inputs)
    found: Mapping[str, Any] = _interpreter(frozen).get_signature_runner("infer")(**inputs)
    worst = 0.0
    for name, value in wanted.items():
        largest = float(np.max(np.abs(value), initial=0.0))
        apart = float(np.max(np.abs(found[name] - value), initial=0.0))
        # NaN is no agreement.
        worst = max(worst, apart / largest if largest else apart) if apart == apart else np.inf
    return worst


def _ordered(places: Sequence[InferenceConstant]) -> list[InferenceConstant]:
    return sorted(places, key=lambda place: place.offset)


def _interpreter(content: bytes) -> Any:
    for name in _MODULES:
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue
        return module.Interpreter(model_content=content, num_threads=1)
    raise MissingExtraError.of("tfplus freeze", "agent")
