"""`infer` returns what Keras' `predict` returns, under the outputs' names, and logits beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from keras import layers

from tfplus.errors import ExportError
from tfplus.model_file.artifact import Artifact
from tfplus.model_file.manifest import Preprocessing
from tfplus_export.losses.compiled import compiled
from tfplus_export.pipeline import api
from tfplus_export.sources.source import Source
from tfplus_export.tracing import model_io

BATCH = 4


def exported(model: keras.Model, path: Path, **options: Any) -> Artifact:
    losses = compiled(model, list(model_io.outputs(model)))
    source = Source("test", model, None, None, losses, Preprocessing(), None)
    chosen = api.Options(BATCH, BATCH, parity_steps=1, **options)
    return api.export(source, path, chosen, lambda text: None)


def network(*ends: layers.Layer, losses: Any) -> keras.Model:
    x = image = keras.Input((5,), name="x")
    x = layers.Dense(6, activation="relu", name="hidden")(x)
    model = keras.Model(image, [end(x) for end in ends] if len(ends) > 1 else ends[0](x))
    model.compile("sgd", loss=losses)
    return model


SPARSE = "sparse_categorical_crossentropy"
CASES = {
    # Name → model, logits of each output, kinds.
    "softmax": (
        lambda: network(layers.Dense(3, activation="softmax", name="kind"), losses=SPARSE),
        {"kind": "logits"},
        ["probabilities"],
    ),
    "softmax called logits": (
        lambda: network(layers.Dense(3, activation="softmax", name="logits"), losses=SPARSE),
        {"logits": "logits_logits"},
        ["probabilities"],
    ),
    "sigmoid": (
        lambda: network(
            layers.Dense(1, activation="sigmoid", name="yes"), losses="binary_crossentropy"
        ),
        {"yes": "logits"},
        ["probabilities"],
    ),
    "logits": (
        lambda: network(
            layers.Dense(3, name="kind"),
            losses=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        ),
        {"kind": ""},
        ["logits"],
    ),
    "numbers": (
        lambda: network(layers.Dense(2, name="size"), losses="mse"),
        {"size": ""},
        ["values"],
    ),
    "several": (
        lambda: network(
            layers.Dense(3, activation="softmax", name="kind"),
            layers.Dense(2, name="size"),
            losses=[SPARSE, "mse"],
        ),
        {"kind": "kind_logits", "size": ""},
        ["probabilities", "values"],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_infer_is_predict(name: str, tmp_path: Path) -> None:
    make, logits, kinds = CASES[name]
    model = make()
    written = exported(model, tmp_path / "m.tflite", bakeable=name == "several")
    outputs = written.manifest.outputs
    assert {o.name: o.logits for o in outputs} == logits
    assert [o.kind for o in outputs] == kinds
    x = np.random.default_rng(0).normal(size=(BATCH, 5)).astype(np.float32)
    predicted = model.predict(x, verbose=0)
    want = dict(zip(logits, predicted if len(logits) > 1 else [predicted], strict=True))
    infer = Interpreter(str(written.path)).get_signature_runner("infer")
    got = infer(x=x)
    assert set(got) == {*logits, *filter(None, logits.values())}
    for output, expected in want.items():
        np.testing.assert_allclose(got[output], expected, rtol=1e-5, atol=1e-6)
        if logits[output]:
            close = keras.ops.sigmoid if expected.shape[-1] == 1 else keras.ops.softmax
            closed = np.asarray(close(got[logits[output]]))
            np.testing.assert_allclose(closed, expected, rtol=1e-5, atol=1e-6)
            assert not np.allclose(got[logits[output]], expected, atol=1e-3)


def test_an_output_that_is_named_as_the_logits_of_another_is_refused(tmp_path: Path) -> None:
    model = network(
        layers.Dense(3, activation="softmax", name="kind"),
        layers.Dense(2, name="kind_logits"),
        losses=[SPARSE, "mse"],
    )
    with pytest.raises(ExportError, match="'kind_logits', as the logits of another"):
        exported(model, tmp_path / "m.tflite")
