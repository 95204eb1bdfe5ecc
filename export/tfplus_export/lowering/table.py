"""The table of lowering rules: TensorFlow operation → rule, or rules in order of preference.

A line is an import: the rule, under the name of the operation that it is for. So a new rule is a
new file in `ops/` and a line here.
"""

# ruff: noqa: F401, N811
# pyright: reportUnusedImport=false

from __future__ import annotations

from types import MappingProxyType

from tfplus_export.lowering.engine.rule import Entry, KernelVariants, ManyRule, Rule, Rules
from tfplus_export.lowering.ops.convolution.blocks import BATCH_TO_SPACE as BatchToSpaceND
from tfplus_export.lowering.ops.convolution.blocks import SPACE_TO_BATCH as SpaceToBatchND
from tfplus_export.lowering.ops.convolution.convolutions import CONV2D as Conv2D
from tfplus_export.lowering.ops.convolution.depthwise_convolutions import (
    DEPTHWISE_CONV2D as DepthwiseConv2dNative,
)
from tfplus_export.lowering.ops.convolution.transposed import (
    CONV2D_TRANSPOSE as Conv2DBackpropInput,
)
from tfplus_export.lowering.ops.elementwise.elementwise import ADD as Add
from tfplus_export.lowering.ops.elementwise.elementwise import ADD as AddV2
from tfplus_export.lowering.ops.elementwise.elementwise import BIAS_ADD as BiasAdd
from tfplus_export.lowering.ops.elementwise.elementwise import DIV as RealDiv
from tfplus_export.lowering.ops.elementwise.elementwise import MAXIMUM as Maximum
from tfplus_export.lowering.ops.elementwise.elementwise import MINIMUM as Minimum
from tfplus_export.lowering.ops.elementwise.elementwise import MUL as Mul
from tfplus_export.lowering.ops.elementwise.elementwise import NEG as Neg
from tfplus_export.lowering.ops.elementwise.elementwise import (
    SQUARED_DIFFERENCE as SquaredDifference,
)
from tfplus_export.lowering.ops.elementwise.elementwise import SUB as Sub
from tfplus_export.lowering.ops.elementwise.erf import ERF as Erf
from tfplus_export.lowering.ops.elementwise.erf import ERFC as Erfc
from tfplus_export.lowering.ops.elementwise.logic import ALL as All
from tfplus_export.lowering.ops.elementwise.logic import AND as LogicalAnd
from tfplus_export.lowering.ops.elementwise.logic import ANY as Any
from tfplus_export.lowering.ops.elementwise.logic import CAST as Cast
from tfplus_export.lowering.ops.elementwise.logic import EQUAL as Equal
from tfplus_export.lowering.ops.elementwise.logic import GREATER as Greater
from tfplus_export.lowering.ops.elementwise.logic import GREATER_EQUAL as GreaterEqual
from tfplus_export.lowering.ops.elementwise.logic import LESS as Less
from tfplus_export.lowering.ops.elementwise.logic import LESS_EQUAL as LessEqual
from tfplus_export.lowering.ops.elementwise.logic import NOT as LogicalNot
from tfplus_export.lowering.ops.elementwise.logic import NOT_EQUAL as NotEqual
from tfplus_export.lowering.ops.elementwise.logic import OR as LogicalOr
from tfplus_export.lowering.ops.elementwise.logic import SELECT as SelectV2
from tfplus_export.lowering.ops.elementwise.powers import EXP as Exp
from tfplus_export.lowering.ops.elementwise.powers import EXPM1 as Expm1
from tfplus_export.lowering.ops.elementwise.powers import LOG as Log
from tfplus_export.lowering.ops.elementwise.powers import LOG1P as Log1p
from tfplus_export.lowering.ops.elementwise.powers import POW as Pow
from tfplus_export.lowering.ops.elementwise.powers import RECIPROCAL as Reciprocal
from tfplus_export.lowering.ops.elementwise.powers import RSQRT as Rsqrt
from tfplus_export.lowering.ops.elementwise.powers import SQRT as Sqrt
from tfplus_export.lowering.ops.elementwise.powers import SQUARE as Square
from tfplus_export.lowering.ops.elementwise.rectifiers import ELU as Elu
from tfplus_export.lowering.ops.elementwise.rectifiers import LEAKY_RELU as LeakyRelu
from tfplus_export.lowering.ops.elementwise.rectifiers import RELU as Relu
from tfplus_export.lowering.ops.elementwise.rectifiers import RELU6 as Relu6
from tfplus_export.lowering.ops.elementwise.rectifiers import SELU as Selu
from tfplus_export.lowering.ops.elementwise.sigmoids import SIGMOID as Sigmoid
from tfplus_export.lowering.ops.elementwise.sigmoids import SOFTPLUS as Softplus
from tfplus_export.lowering.ops.elementwise.sigmoids import SOFTSIGN as Softsign
from tfplus_export.lowering.ops.elementwise.sigmoids import TANH as Tanh
from tfplus_export.lowering.ops.elementwise.steps import ABS as Abs
from tfplus_export.lowering.ops.elementwise.steps import CEIL as Ceil
from tfplus_export.lowering.ops.elementwise.steps import FLOOR as Floor
from tfplus_export.lowering.ops.elementwise.steps import ROUND as Round
from tfplus_export.lowering.ops.elementwise.steps import SIGN as Sign
from tfplus_export.lowering.ops.gather import GATHER as GatherV2
from tfplus_export.lowering.ops.linear import RESIZE as ResizeBicubic
from tfplus_export.lowering.ops.linear import RESIZE as ResizeBilinear
from tfplus_export.lowering.ops.linear import RESIZE as ResizeNearestNeighbor
from tfplus_export.lowering.ops.pooling import AVG_POOL as AvgPool
from tfplus_export.lowering.ops.pooling import MAX_POOL as MaxPool
from tfplus_export.lowering.ops.products import BATCH_MATMUL as BatchMatMulV2
from tfplus_export.lowering.ops.products import EINSUM as Einsum
from tfplus_export.lowering.ops.products import MATMUL as MatMul
from tfplus_export.lowering.ops.reductions import MAX as Max
from tfplus_export.lowering.ops.reductions import MEAN_OR_VARIANCE as Mean
from tfplus_export.lowering.ops.reductions import MIN as Min
from tfplus_export.lowering.ops.reductions import SUM as Sum
from tfplus_export.lowering.ops.shaping import CONCAT as ConcatV2
from tfplus_export.lowering.ops.shaping import IDENTITY_N as IdentityN
from tfplus_export.lowering.ops.shaping import PAD as Pad
from tfplus_export.lowering.ops.shaping import RESHAPE as ExpandDims
from tfplus_export.lowering.ops.shaping import RESHAPE as Squeeze
from tfplus_export.lowering.ops.shaping import RESHAPES as Reshape
from tfplus_export.lowering.ops.shaping import STOP_GRADIENT as StopGradient
from tfplus_export.lowering.ops.slicing import BROADCAST_TO as BroadcastTo
from tfplus_export.lowering.ops.slicing import REVERSE as ReverseV2
from tfplus_export.lowering.ops.slicing import SLICE as Slice
from tfplus_export.lowering.ops.slicing import STRIDED_SLICE as StridedSlice
from tfplus_export.lowering.ops.slicing import TILE as Tile
from tfplus_export.lowering.ops.slicing import TRANSPOSE as Transpose
from tfplus_export.lowering.ops.softmax import LOG_SOFTMAX as LogSoftmax
from tfplus_export.lowering.ops.softmax import SOFTMAX as Softmax
from tfplus_export.lowering.ops.splitting import PACK as Pack
from tfplus_export.lowering.ops.splitting import SPLIT as Split
from tfplus_export.lowering.ops.splitting import SPLIT_V as SplitV
from tfplus_export.lowering.ops.splitting import UNPACK as Unpack

_IMPORTED: dict[str, Entry] = {
    name: found
    for name, found in globals().items()
    if isinstance(found, Rule | ManyRule | KernelVariants | tuple)
}
RULES: Rules = MappingProxyType({name: _IMPORTED[name] for name in sorted(_IMPORTED)})
