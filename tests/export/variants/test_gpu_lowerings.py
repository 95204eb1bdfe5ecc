"""What accelerators get instead of operators that they have not, against TensorFlow's gradients."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from keras import layers, ops
from oracle import assert_equal

from tfplus.model_file.manifest import Preprocessing
from tfplus_export.lowering.engine.kernel_variants import for_accelerators
from tfplus_export.lowering.table import RULES
from tfplus_export.pipeline import train_graph
from tfplus_export.pipeline.stages.options import Options
from tfplus_export.sources.source import Source
from tfplus_export.variants import gpu_graph

IMAGE = (6, 7, 3)
TABLE = (5, 4)
CASES: dict[str, tuple[tuple[int, ...], Any]] = {
    "conv2d": (IMAGE, lambda: layers.Conv2D(2, 3, padding="same", dilation_rate=(2, 3))),
    "conv1d": (TABLE, lambda: layers.Conv1D(3, 2, padding="causal", dilation_rate=2)),
    "depthwise": (
        IMAGE,
        lambda: layers.DepthwiseConv2D(2, depth_multiplier=2, dilation_rate=(3, 1)),
    ),
    "first axis": (TABLE, lambda: layers.Lambda(lambda x: ops.take(x, [2, 0, 2], axis=1))),
    "last axis": (TABLE, lambda: layers.Lambda(lambda x: ops.take(x, [[3, 0], [3, 1]], axis=2))),
}


@pytest.mark.parametrize(
    "name",
    [n if n in ("conv2d", "last axis") else pytest.param(n, marks=pytest.mark.slow) for n in CASES],
)
def test_layers_behind_a_trainable_one(name: str) -> None:
    shape, make = CASES[name]
    model = keras.Sequential([keras.Input(shape), layers.Dense(shape[-1]), make()])
    x = np.random.default_rng(0).normal(size=(3, *shape)).astype(np.float32)
    assert_equal(model, x, rules=for_accelerators(RULES))


def test_an_embedding_adds_up_what_equal_tokens_send_back() -> None:
    model = keras.Sequential([keras.Input((9,), dtype="int32"), layers.Embedding(5, 3)])
    tokens = np.random.default_rng(0).integers(0, 5, (4, 9)).astype(np.int32)
    assert_equal(model, tokens, rules=for_accelerators(RULES))


def products(model: keras.Model) -> list[tuple[bool, bool]]:
    """Of every BATCH_MATMUL of the step for accelerators: which of its sides are constants."""
    source = Source("m", model, None, None, None, Preprocessing(), None)
    step = train_graph.training_of(source, model, Options(4))
    read: Any = schema.ModelT.InitFromObj(schema.Model.GetRootAs(gpu_graph.graph(step)))
    found: list[tuple[bool, bool]] = []
    for graph in read.subgraphs:
        for operator in graph.operators:
            code = read.operatorCodes[operator.opcodeIndex].builtinCode
            if code == schema.BuiltinOperator.BATCH_MATMUL:
                sides = [read.buffers[graph.tensors[i].buffer].data for i in operator.inputs]
                found.append((sides[0] is not None, sides[1] is not None))
    return found


@pytest.mark.slow
def test_products_have_their_constant_on_the_right() -> None:
    # The first state of a recurrent layer is zeros; gradients pass through a frozen matrix.
    model = keras.Sequential(
        [
            keras.Input((5, 3)),
            layers.GRU(4),
            layers.Dense(40, trainable=False),
            layers.Dense(4),
            layers.Lambda(
                lambda x: ops.matmul(ops.reshape(ops.arange(12.0), (1, 3, 4)), x[..., None])
            ),
            layers.Flatten(),
            layers.Dense(2),
        ]
    )
    found = products(model)
    assert len(found) > 10
    assert not any(left for left, _ in found)


@pytest.mark.parametrize(("left", "right"), [(True, False), (False, True)], ids=["left", "right"])
@pytest.mark.parametrize("spec", ["ij,bjk->bik", "ij,bj->bi", "bj,ij->ib", "bij,jk->bki"])
def test_a_product_with_a_constant_has_the_gradient_of_any(
    spec: str, left: bool, right: bool
) -> None:
    extent = {"b": 3, "i": 4, "j": 2, "k": 30}
    rng = np.random.default_rng(0)
    axes = spec.partition("->")[0].split(",")
    a, b = (rng.normal(size=[extent[c] for c in side]).astype(np.float32) for side in axes)

    class Product(layers.Layer):
        """Of a constant and a weight, times the input."""

        def build(self, shape: Any) -> None:
            value = b if left else a
            self.factor = self.add_weight(value.shape, lambda *_, **__: value, name="factor")

        def call(self, x: Any) -> Any:
            known = ops.convert_to_tensor(a if left else b)
            sides = (known, self.factor) if left else (self.factor, known)
            return ops.sum(x) * ops.einsum(spec, *sides)

    image = keras.Input((2,))
    model = keras.Model(image, Product()(image))
    assert_equal(model, rng.normal(size=(3, 2)).astype(np.float32), rules=for_accelerators(RULES))
