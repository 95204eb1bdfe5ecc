"""The forward pass as a list of TensorFlow operations, each known by its Keras layer."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Generator, Iterable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfplus.errors import ExportError
from tfplus_export.regularization.regularizers import RegularizedOutput, of_layer
from tfplus_export.tf_types import Op, Tensor
from tfplus_export.tracing import model_io
from tfplus_export.tracing.folding import fold, static_value
from tfplus_export.tracing.hoisting import hoist_products, merge_weights
from tfplus_export.tracing.layer_kinds import LayerKinds, untraceable
from tfplus_export.tracing.layer_rewrites import rewritten_layers
from tfplus_export.tracing.naming import layer_paths
from tfplus_export.tracing.unrolling import unrolled

# Operations that only pass a value on.
PASS_THROUGH = frozenset({"Identity", "Snapshot"})
# Operations that write a variable.
ASSIGNMENTS = frozenset({"AssignVariableOp", "AssignAddVariableOp", "AssignSubVariableOp"})
# Operations that draw random numbers, for which the step has noise of its own.
RANDOM = frozenset({"StatelessRandomUniformV2"})

_REDUCTIONS = frozenset({"Max", "Mean", "Min", "Prod", "Sum"})


@dataclass(frozen=True)
class Graph:
    """A Keras model's forward pass, traced with a fixed batch.

    Attributes:
      inputs: name of an input → its placeholder, [batch, ...].
      outputs: name of an output → the tensor that the model returns.
      operations: every operation that an output or an assigned variable depends on, in the order in
        which the model ran them; assignments are among them.
      constants: name of a tensor that they take, and that no operation here makes, → its value.
      variables: name of a captured handle placeholder → index into `model.variables`.
      owners: name of an operation → path of the Keras layer that made it, such as
        `attention/query`.
      random: name of an operation that draws random numbers → the shape of what it draws, in the
        order in which the model ran them; some may be needed for nothing.
      regularized: outputs of layers with an activity regularizer.
      kinds: classes of the model's layers.
    """

    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]
    operations: tuple[Op, ...]
    constants: dict[str, np.ndarray]
    variables: dict[str, int]
    owners: dict[str, str]
    random: dict[str, tuple[int, ...]]
    regularized: tuple[RegularizedOutput, ...]
    kinds: LayerKinds

    @property
    def batch_size(self) -> int:
        """Samples in a batch."""
        return int(next(iter(self.inputs.values())).shape[0])

    def layer_of(self, op: Op) -> str:
        """Name of the Keras layer that made the operation, or the operation's own name."""
        name: str = op.name
        return self.owners[name].rpartition("/")[2] if name in self.owners else name

    def path_of(self, op: Op) -> str:
        """Path of the Keras layer that made the operation, or the operation's own name."""
        name: str = op.name
        return self.owners.get(name, name)

    def naming(self, op: Op) -> str:
        """The layer that made the operation, for a message: `layer 'flip' (RandomFlip)`."""
        return self.kinds.shown(self.layer_of(op))

    def variable_of(self, op: Op) -> int:
        """The variable that a read or an assignment is of, as index into `model.variables`.

        Raises:
          ExportError: it is none of the model's.
        """
        index = self.variables.get(op.inputs[0].op.name)
        if index is None:
            raise ExportError(
                f"{self.naming(op)}: operation {op.type} uses a variable that is no "
                "weight of the model: expected one that the layer made with add_weight"
            )
        return index

    @property
    def mixes_rows(self) -> bool:
        """Whether all rows of a batch count, also padding, through batch statistics.

        Told by a reduction over the first axis of anything that depends on an input. A regularizer
        of activations is one, too.
        """
        if self.regularized:
            return True
        dependent = {t.name for t in self.inputs.values()}
        for op in self.operations:
            if any(t.name in dependent for t in op.inputs):
                dependent.update(t.name for t in op.outputs)
                if op.type in _REDUCTIONS:
                    axes, rank = static_value(op.inputs[1]), len(op.inputs[0].shape)
                    if axes is None or any(int(a) % rank == 0 for a in np.ravel(axes)):
                        return True
        return False


def trace(model: keras.Model, batch_size: int, *, training: bool) -> Graph:
    """Traces `model(inputs, training=training)` for one batch of fixed size.

    Args:
      model: built.
      batch_size: leading dimension of every input.
      training: passed to the model.

    Raises:
      ExportError: TensorFlow cannot trace it, or a layer changes variables in the forward pass.
    """
    inputs = model_io.inputs(model)
    specs = [tf.TensorSpec([batch_size, *p.shape], p.taken_as or p.dtype) for p in inputs.values()]
    names = list(model_io.outputs(model))
    masked: set[str] = set()

    def call(*values: Tensor) -> list[Tensor]:
        outputs = model_io.call(model, values, training=training)
        pairs = zip(names, outputs, strict=True)
        masked.update(n for n, o in pairs if getattr(o, "_keras_mask", None) is not None)
        return outputs

    function = tf.function(call, autograph=False)
    regularized: list[RegularizedOutput] = []
    with (
        _recording(model, regularized) as owners,
        inlined(),
        rewritten_layers(),
        unrolled(layers_of(model)) as complaints,
    ):
        try:
            concrete = function.get_concrete_function(*specs)
        except Exception as error:
            if complaints:
                raise ExportError(complaints[0]) from error
            raise untraceable(error) from error
    if masked:
        raise ExportError(
            f"output '{min(masked)}' carries a mask, with which Keras would weigh its loss: "
            "expected none behind the last layer; mark steps that do not count as padding in the "
            "targets"
        )
    seeds = _seeds(model)
    by_handle = {id(v.value.handle): i for i, v in enumerate(model.variables) if id(v) not in seeds}
    variables = {
        internal.op.name: by_handle[id(external)]
        for external, internal in concrete.graph.captures
        if id(external) in by_handle
    }
    outputs = dict(zip(names, concrete.outputs, strict=True))
    drawing = [op for op in concrete.graph.get_operations() if op.type in RANDOM]
    needed = [*outputs.values(), *(p.tensor for p in regularized)]
    _simplify(concrete.graph, needed, owners)
    constants = fold(concrete.graph, _ancestors(concrete.graph, needed, ()))
    operations = _ancestors(concrete.graph, needed, constants)
    ignored = {
        internal.op.name
        for external, internal in concrete.graph.captures
        if id(external) in {id(v.value.handle) for v in seeds.values()}
    }
    return Graph(
        # Behind the inputs come the captured variables.
        inputs=dict(zip(inputs, concrete.inputs, strict=False)),
        outputs=outputs,
        operations=tuple(
            op for op in operations if op.type not in ASSIGNMENTS or _target(op) not in ignored
        ),
        constants=constants,
        variables=variables,
        owners=owners,
        random={op.name: tuple(op.outputs[0].shape) for op in drawing},
        regularized=tuple(regularized),
        kinds=LayerKinds.read(layers_of(model)),
    )


def _seeds(model: keras.Model) -> dict[int, Any]:
    """The variables that Keras' random numbers come from, by id: the step has another source."""
    generators = [
        generator
        for layer in layers_of(model)
        for generator in getattr(layer, "_seed_generators", ())
    ]
    return {id(g.state): g.state for g in generators}


def _target(op: Op) -> str:
    name: str = op.inputs[0].op.name
    return name


def layers_of(model: keras.Model) -> list[Any]:
    """The model and every layer in it, however deep."""
    untyped: Any = model
    return untyped._flatten_layers()


@contextlib.contextmanager
def _recording(
    model: keras.Model, regularized: list[RegularizedOutput]
) -> Generator[dict[str, str]]:
    """Notes which layer makes each operation: operation name → path of the innermost layer.

    Outputs of layers with an activity regularizer are added to `regularized`.

    Name scopes do not tell: Keras numbers them on its own, so that the scope `conv2d_1` may be that
    of the layer `conv2d`.
    """
    owners: dict[str, str] = {}
    paths = layer_paths(model)
    layer_class: Any = keras.Layer
    original = layer_class.__call__

    def call(layer: Any, *arguments: Any, **keywords: Any) -> Any:
        graph = tf.compat.v1.get_default_graph()
        before = len(graph.get_operations())
        result = original(layer, *arguments, **keywords)
        path = paths.get(id(layer)) or str(layer.name)
        for op in graph.get_operations()[before:]:
            owners.setdefault(op.name, path)
        regularizer = of_layer(layer)
        if regularizer is not None:
            regularized.extend(RegularizedOutput(t, regularizer) for t in tf.nest.flatten(result))
        return result

    layer_class.__call__ = call
    try:
        yield owners
    finally:
        layer_class.__call__ = original


@contextlib.contextmanager
def inlined() -> Generator[None]:
    """Traces the body of a `tf.function` within the model in its place.

    Keras puts some layers into functions of their own, to compile them (a grouped convolution is
    one); as a call the converter might take them, but no rule sees inside.
    """
    before = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(before)


def _simplify(graph: Any, outputs: Iterable[Tensor], owners: dict[str, str]) -> None:
    operations = _ancestors(graph, outputs, ())
    written = {op.inputs[0].op.name for op in operations if op.type in ASSIGNMENTS}
    weights = merge_weights(operations, written)
    owners.update(hoist_products(graph, operations, weights, owners))


def _ancestors(graph: Any, outputs: Iterable[Tensor], known: Collection[str]) -> tuple[Op, ...]:
    operations = graph.get_operations()
    needed: set[str] = set()
    pending = [*(t.op for t in outputs), *(op for op in operations if op.type in ASSIGNMENTS)]
    while pending:
        op = pending.pop()
        if op.name not in needed:
            needed.add(op.name)
            pending.extend(t.op for t in op.inputs if t.name not in known)
    return _inputs_first(op for op in operations if op.name in needed)


def _inputs_first(operations: Iterable[Op]) -> tuple[Op, ...]:
    """In the order in which they were made, but what was added later stands before its use."""
    needed = {op.name: op for op in operations}
    placed: dict[str, Op] = {}
    for op in needed.values():
        pending = [op]
        while pending:
            missing = [
                t.op for t in pending[-1].inputs if t.op.name in needed and t.op.name not in placed
            ]
            if missing:
                pending.extend(missing)
            else:
                done = pending.pop()
                placed.setdefault(done.name, done)
    return tuple(placed.values())
