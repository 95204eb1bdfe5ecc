"""The same networks in MNN's training.

usage: mnn_training.py NAME BATCH THREADS

They are built layer by layer: of a converted file MNN 3.6 trains the dense layers alone, and says
nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import MNN
import numpy as np
from prepared import described
from protocol import serve

expr, nn = MNN.expr, MNN.nn
Layer = Callable[[Any], Any]

name, batch, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
expr.set_thread_number(threads)
# Else each expression is computed at once and forgets what it came from: no gradient.
expr.lazy_eval(True)
network, layers = described(name)


class Network(nn.Module):
    """The layers, which the optimizer finds as attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self.run = [self.layer(*layer) for layer in layers]

    def layer(self, kind: str, *sizes: Any) -> Layer:
        """What computes a layer."""
        match kind:
            case "convolution":
                inputs, outputs, kernel, stride, padding, groups, bias = sizes
                return self.kept(
                    nn.conv(
                        inputs,
                        outputs,
                        [kernel, kernel],
                        stride=[stride, stride],
                        padding=[padding, padding],
                        depthwise=groups > 1,
                        bias=bias,
                        padding_mode=expr.Padding_Mode.CAFFE,
                    )
                )
            case "normalization":
                return self.kept(nn.batch_norm(sizes[0], 4))
            case "linear":
                return self.kept(nn.linear(*sizes))
            case "max pool":
                kernel, stride = ([size, size] for size in sizes)
                return lambda x: expr.max_pool(x, kernel, stride)
            case "residual":
                branch, shortcut, activation = sizes
                branch = [self.layer(*layer) for layer in branch]
                shortcut = [self.layer(*layer) for layer in shortcut]
                last = self.layer(*activation)
                return lambda x: last(through(branch, x) + through(shortcut, x))
            case _:
                return SIMPLE[kind]

    def kept(self, layer: Any) -> Layer:
        """A layer with parameters."""
        self.count += 1
        setattr(self, f"layer_{self.count}", layer)
        return layer.forward

    def forward(self, x: Any) -> Any:
        """Logits [N, classes] of images in MNN's own layout."""
        return through(self.run, x)


def through(run: list[Layer], x: Any) -> Any:
    """Layers in turn."""
    for layer in run:
        x = layer(x)
    return x


def flatten(x: Any) -> Any:
    """[N, everything else]."""
    return expr.reshape(expr.convert(x, expr.NCHW), [batch, -1])


SIMPLE: dict[str, Layer] = {
    "relu": lambda x: expr.relu(x),
    "relu6": lambda x: expr.relu6(x),
    "identity": lambda x: x,
    "flatten": flatten,
    "global pool": lambda x: expr.avg_pool(x, x.shape[2:], x.shape[2:]),
}

model = Network()
model.train(True)
optimizer = MNN.optim.SGD(model, 0.01, 0.0, 0.0)


def step(x: np.ndarray, y: np.ndarray) -> float:
    """One step of SGD."""
    values = np.ascontiguousarray(x.transpose(0, 3, 1, 2))
    image = expr.convert(expr.const(values, list(values.shape), expr.NCHW), expr.NC4HW4)
    labels = expr.const(y, [batch], expr.NCHW, expr.int)
    target = expr.one_hot(labels, network.classes, 1.0, 0.0)
    loss = nn.loss.cross_entropy(expr.softmax(model.forward(image), 1), target)
    value = float(loss.read())
    optimizer.step(loss)
    return value


def trained() -> None:
    """Ends with an error where a step leaves a matrix or a filter as it was."""
    rng = np.random.default_rng(0)
    before = [p.read().copy() for p in model.parameters]
    step(
        rng.standard_normal((batch, *network.shape), dtype=np.float32),
        rng.integers(0, network.classes, batch, dtype=np.int32),
    )
    pairs = zip(model.parameters, before, strict=True)
    still = [b.shape for p, b in pairs if np.array_equal(p.read(), b)]
    if any(sum(size > 1 for size in shape) > 1 for shape in still):
        raise SystemExit(f"MNN leaves weights of {name} as they were, of the shapes {still}")


trained()
version = f"MNN {MNN.version()}"
serve(step, version, network.shape, batch, network.classes, network.parameters)
