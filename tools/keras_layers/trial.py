"""Tries Keras' layer cases one after the other, in a process that may die of one.

usage: python tools/keras_layers/trial.py RESULTS MOST [CLASS...]

Appends one line of JSON to RESULTS before and one after each case, and passes over cases that have
a line there. Ends after MOST cases with exit code 10, and with 0 when there is no other. A case
that takes longer than `LIMIT_S` ends the process.
"""

from __future__ import annotations

import faulthandler
import json
import math
import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tools")]

import keras

from keras_layers import cases as layer_cases
from keras_layers.cases import Case
from tfplus.errors import TfplusError, UnexpectedExportError
from tfplus.model_file.manifest import Preprocessing
from tfplus_export.pipeline import api
from tfplus_export.sources.source import Source

LIMIT_S = 180
# A longer input, such as ten seconds of sound, is cut.
LONGEST = 4096
# A larger result of a layer is averaged to one value a channel.
MOST_ELEMENTS = 1 << 14
MORE = 10
BATCH = 4
STEPS = 2
CLASSES = 3


def model_of(case: Case) -> keras.Model:
    """A model that trains a dense layer in front of the layer, and one behind it.

    Raises:
      Exception: Keras itself cannot make it.
    """
    inputs, values = _inputs(case.arguments)
    layer = case.layer(**(case.arguments.get("init_kwargs") or {}))
    call = case.arguments.get("call_kwargs") or {}
    result = layer(**values, **call) if isinstance(values, dict) else layer(values, **call)
    ends = [_dense(tensor, f"behind_{i}") for i, tensor in enumerate(keras.tree.flatten(result))]
    model = keras.Model(inputs, ends[0] if len(ends) == 1 else keras.layers.Add()(ends))
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def _inputs(arguments: dict[str, Any]) -> tuple[list[Any], Any]:
    data = arguments.get("input_data")
    if data is not None:
        shapes = keras.tree.map_structure(lambda x: tuple(keras.ops.shape(x)), data)
        kinds = keras.tree.map_structure(
            lambda x: keras.backend.standardize_dtype(getattr(x, "dtype", "float32")), data
        )
    else:
        shapes = arguments["input_shape"]
        kinds = arguments.get("input_dtype")
    if isinstance(shapes, dict):
        shapes = {name.removesuffix("_shape"): shape for name, shape in shapes.items()}
        kinds = {n.removesuffix("_shape"): k for n, k in kinds.items()} if kinds else None
    made: list[Any] = []

    def make(whole: tuple[int, ...], dtype: str) -> Any:
        shape = tuple(None if d is None else min(d, LONGEST) for d in whole)
        made.append(
            keras.Input(
                shape[1:],
                dtype=dtype,
                name=f"x{len(made)}",
                sparse=bool(arguments.get("input_sparse")),
                ragged=bool(arguments.get("input_ragged")),
            )
        )
        trained = dtype == "float32" and 2 <= len(shape) <= 4 and shape[-1]
        sparse = arguments.get("input_sparse") or arguments.get("input_ragged")
        if not trained or sparse:
            return made[-1]
        # Its gradient is one that came back through the layer.
        return keras.layers.Dense(shape[-1], name=f"front_{len(made)}")(made[-1])

    if isinstance(shapes, dict):
        values: Any = {n: make(s, kinds[n] if kinds else "float32") for n, s in shapes.items()}
    elif isinstance(shapes[0], (tuple, list)):
        each = [kinds] * len(shapes) if kinds is None or isinstance(kinds, str) else kinds
        values = type(shapes)(make(s, k or "float32") for s, k in zip(shapes, each, strict=True))
    else:
        values = make(shapes, kinds or "float32")
    return made, values


def _dense(tensor: Any, name: str) -> Any:
    if tensor.dtype != "float32":
        tensor = keras.ops.cast(tensor, "float32")
    if len(tensor.shape) == 1:
        tensor = keras.ops.expand_dims(tensor, -1)
    if math.prod(d or 1 for d in tensor.shape[1:]) > MOST_ELEMENTS:
        tensor = keras.ops.mean(tensor, axis=tuple(range(1, len(tensor.shape) - 1)))
    return keras.layers.Dense(CLASSES, name=name)(keras.layers.Flatten()(tensor))


def tried(case: Case) -> tuple[str, str]:
    """What became of a case, and why.

    Returns:
      `exported`; `refused` and the message; `error` and the exception that nobody raised on
      purpose; `none` where Keras itself has no such model.
    """
    keras.backend.clear_session()
    keras.utils.set_random_seed(0)
    if case.arguments.get("input_data") is None and case.arguments.get("input_shape") is None:
        return "none", "the test has no input"
    try:
        model = model_of(case)
    except Exception as error:
        return "none", f"{type(error).__name__}: {_line(error)}"
    source = Source("test:layer", model, None, None, None, Preprocessing(), None)
    with tempfile.TemporaryDirectory() as folder:
        return _exported(source, Path(folder) / "layer.tflite")


def _exported(source: Source, path: Path) -> tuple[str, str]:
    nothing: Callable[[str], None] = lambda text: None  # noqa: E731
    try:
        api.export(source, path, api.Options(BATCH, parity_steps=STEPS), nothing)
    except UnexpectedExportError as error:
        traceback.print_exc()
        return "error", str(error)
    except TfplusError as error:
        return "refused", str(error)
    except Exception as error:
        traceback.print_exc()
        return "error", f"{type(error).__name__}: {_line(error)}"
    return "exported", ""


def _line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    found = [line for line in lines if not line.startswith("Exception encountered")]
    return found[0] if found else ""


def main(results: Path, most: int, classes: list[str]) -> int:
    """Tries what is not in the results yet."""
    kept = [json.loads(line) for line in results.read_text().splitlines()]
    done = {line["case"] for line in kept if "case" in line}
    finished = {line["module"] for line in kept if "module" in line}

    def write(**line: Any) -> None:
        with results.open("a") as file:
            file.write(json.dumps(line) + "\n")

    for module in layer_cases.modules():
        if module in finished:
            continue
        try:
            cases = layer_cases.collect(module)
        except ImportError as error:
            write(module=module, problem=str(error))
            continue
        for case in cases:
            name = case.layer.__name__
            if case.name in done or (classes and name not in classes):
                continue
            if not most:
                return MORE
            most -= 1
            write(
                begun=case.name, layer=name, public=getattr(keras.layers, name, None) is case.layer
            )
            faulthandler.dump_traceback_later(LIMIT_S, exit=True)
            result, reason = tried(case)
            faulthandler.cancel_dump_traceback_later()
            write(case=case.name, layer=name, result=result, reason=reason)
        if not classes:
            write(module=module)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]))
