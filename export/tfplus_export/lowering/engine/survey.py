"""Everything that keeps a traced pass from being lowered, operation by operation.

Each operation's rule runs alone, on placeholders of the traced shapes, so that one that fails hides
none of the others.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfplus.errors import ExportError
from tfplus_export.lowering.engine.plan import Chosen, divide, of_inputs, too_deep, unsupported
from tfplus_export.lowering.engine.rule import Rules
from tfplus_export.system.user_code import first_line
from tfplus_export.tf_types import Op, Tensor
from tfplus_export.tracing.folding import static_value
from tfplus_export.tracing.graph import Graph


def survey(graph: Graph, rules: Rules) -> list[tuple[str, str]]:
    """What is wrong: (name of a layer, problem), in the order of the pass."""
    planned, without = divide(graph, rules)
    found = list(zip(without, unsupported(graph, without), strict=True))

    def look() -> None:
        for op, chosen in planned:
            problem = None if chosen is None else _problem(graph, op, chosen)
            if problem is not None:
                found.append((op, problem))

    # As the step is traced: within a plain `tf.Graph` a rule cannot compute constants at once.
    tf.function(look, autograph=False).get_concrete_function()
    place = {op.name: i for i, op in enumerate(graph.operations)}
    found.sort(key=lambda item: place[item[0].name])
    return list(dict.fromkeys((graph.layer_of(op), problem) for op, problem in found))


def _problem(graph: Graph, op: Op, chosen: Chosen) -> str | None:
    rule, sources = chosen
    deep = too_deep(graph, op, (*op.outputs, *of_inputs(sources)))
    if deep is not None:
        return deep
    try:
        inputs = [_stand_in(tensor) for tensor in sources]
        outputs = rule.run(op, inputs)
        wanted = [t.dtype.is_floating and static_value(t) is None for t in sources]
        if any(wanted):
            rule.back(op, inputs, outputs, [_zeros(t.shape) for t in outputs], wanted)
    except ExportError as error:
        return f"operation {op.type}: {error}"
    except Exception as error:
        return f"operation {op.type}: its rule does not take it: {first_line(error)}"
    return None


def _stand_in(tensor: Tensor) -> Tensor:
    known = static_value(tensor)
    # Truth values are 1.0 and 0.0, as comparisons leave them.
    dtype = tf.float32 if tensor.dtype == tf.bool else tensor.dtype
    if known is not None:
        return tf.constant(np.asarray(known), dtype)
    return tf.compat.v1.placeholder(dtype, tensor.shape)


def _zeros(shape: Sequence[int]) -> Tensor:
    return tf.compat.v1.placeholder(tf.float32, shape)
