"""Compiling a graph for the GPU: in which precision it computes, and why one is not taken.

LiteRT says in its exception whether operators are left to the CPU, and of any other failure nothing
but where in its own code it happened. Whether there is a GPU at all is therefore asked by a graph
that every GPU takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

from tfplus.errors import UsageError, WorkerError

Precision = Literal["float32", "float16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
# What LiteRT says where the delegate runs but leaves operators to the CPU.
_LEFT_TO_THE_CPU = "not accelerated"


class NoAcceleratorError(WorkerError):
    """The machine has none that the runtime can use."""


class NotTakenError(WorkerError):
    """The accelerator does not take every operator of a graph.

    Attributes:
      operators: names of those that it says it does not take.
    """

    def __init__(self, message: str, operators: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.operators = tuple(operators)


class CompileError(WorkerError):
    """There is an accelerator, but it failed to compile a graph, such as one too large for it."""


def precision_named(name: str) -> Precision:
    """The precision of a name.

    Raises:
      UsageError: there is none of it.
    """
    for precision in PRECISIONS:
        if name == precision:
            return precision
    raise UsageError(f"GPU precision '{name}': expected one of {', '.join(PRECISIONS)}")


def compiled(graph: bytes, precision: Precision = "float32") -> Any:
    """Compiles a graph for the GPU, whole.

    Args:
      graph: a flatbuffer.
      precision: what is computed and kept within the graph; inputs and outputs are float32 either
        way. A GPU without arithmetic of 16 bits computes in float32 all the same.

    Returns:
      A `CompiledModel` of LiteRT.

    Raises:
      NoAcceleratorError: there is no GPU, or no driver.
      NotTakenError: operators are left to the CPU.
      CompileError: the GPU failed.
    """
    try:
        return _on_gpu(graph, precision)
    except RuntimeError as error:
        if _LEFT_TO_THE_CPU in str(error):
            raise NotTakenError("the GPU leaves operators to the CPU") from None
        if not present():
            raise NoAcceleratorError(
                "LiteRT finds no GPU, or no driver for it, on this machine"
            ) from None
        last = str(error).strip().splitlines()[-1:]
        raise CompileError(f"the GPU failed to compile the graph: {' '.join(last)}") from None


def present() -> bool:
    """Whether LiteRT can use a GPU of this machine for anything."""
    try:
        _on_gpu(_smallest_graph(), "float32")
    except (RuntimeError, NoAcceleratorError):
        return False
    return True


def _on_gpu(graph: bytes, precision: Precision) -> Any:
    # Of the agent and export extras; whoever asks has one of them.
    try:
        from ai_edge_litert.compiled_model import (
            CompiledModel,
            GpuOptions,
            HardwareAccelerator,
            Options,
        )
    except ImportError:
        raise NoAcceleratorError(
            "this ai-edge-litert cannot train on a GPU: pip install 'ai-edge-litert>=2.2'"
        ) from None

    options = Options(
        hardware_accelerators=HardwareAccelerator.GPU,
        # Without it a GPU that can computes in 16 bits, and the update of a weight is lost in them.
        gpu_options=GpuOptions(enforce_f32=precision == "float32"),
    )
    return CompiledModel.from_buffer(graph, options=options)


def _smallest_graph() -> bytes:
    """The absolute value of one number."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    tensors: list[Any] = []
    for name in ("x", "y"):
        tensor: Any = schema.TensorT()
        tensor.name, tensor.shape, tensor.type = name, [1, 1], schema.TensorType.FLOAT32
        tensors.append(tensor)
    operator: Any = schema.OperatorT()
    operator.inputs, operator.outputs = [0], [1]
    graph: Any = schema.SubGraphT()
    graph.tensors, graph.inputs, graph.outputs, graph.operators = tensors, [0], [1], [operator]
    code: Any = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.ABS
    model: Any = schema.ModelT()
    model.version, model.subgraphs, model.operatorCodes = 3, [graph], [code]
    model.buffers = [schema.BufferT()]
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
