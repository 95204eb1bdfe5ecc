"""The table of lowering rules: TensorFlow operation → rule, or rules in order of preference."""

from __future__ import annotations

from types import MappingProxyType

from tfplus_export.lowering.engine.rule import Rules
from tfplus_export.lowering.ops import (
    linear,
    products,
    rank_reduction,
    reductions,
    shaping,
    slicing,
    splitting,
)
from tfplus_export.lowering.ops.convolution import blocks
from tfplus_export.lowering.ops.convolution.convolutions import CONV2D
from tfplus_export.lowering.ops.convolution.depthwise_convolutions import DEPTHWISE_CONV2D
from tfplus_export.lowering.ops.convolution.transposed import CONV2D_TRANSPOSE
from tfplus_export.lowering.ops.elementwise import (
    elementwise,
    logic,
    powers,
    rectifiers,
    sigmoids,
    steps,
)
from tfplus_export.lowering.ops.elementwise.erf import ERF, ERFC
from tfplus_export.lowering.ops.gather import GATHER
from tfplus_export.lowering.ops.pooling import AVG_POOL, MAX_POOL
from tfplus_export.lowering.ops.softmax import LOG_SOFTMAX, SOFTMAX

RULES: Rules = MappingProxyType(
    {
        "Abs": steps.ABS,
        "Add": elementwise.ADD,
        "AddV2": elementwise.ADD,
        "All": logic.ALL,
        "Any": logic.ANY,
        "AvgPool": AVG_POOL,
        "BatchMatMulV2": products.BATCH_MATMUL,
        "BatchToSpaceND": blocks.BATCH_TO_SPACE,
        "BiasAdd": elementwise.BIAS_ADD,
        "BroadcastTo": slicing.BROADCAST_TO,
        "Cast": logic.CAST,
        "Ceil": steps.CEIL,
        "ConcatV2": shaping.CONCAT,
        "Conv2D": CONV2D,
        "Conv2DBackpropInput": CONV2D_TRANSPOSE,
        "DepthwiseConv2dNative": DEPTHWISE_CONV2D,
        "Einsum": products.EINSUM,
        "Elu": rectifiers.ELU,
        "Equal": logic.EQUAL,
        "Erf": ERF,
        "Erfc": ERFC,
        "Exp": powers.EXP,
        "ExpandDims": shaping.RESHAPE,
        "Expm1": powers.EXPM1,
        "Floor": steps.FLOOR,
        "GatherV2": GATHER,
        "Greater": logic.GREATER,
        "GreaterEqual": logic.GREATER_EQUAL,
        "IdentityN": shaping.IDENTITY_N,
        "LeakyRelu": rectifiers.LEAKY_RELU,
        "Less": logic.LESS,
        "LessEqual": logic.LESS_EQUAL,
        "Log": powers.LOG,
        "Log1p": powers.LOG1P,
        "LogicalAnd": logic.AND,
        "LogicalNot": logic.NOT,
        "LogicalOr": logic.OR,
        "LogSoftmax": LOG_SOFTMAX,
        "MatMul": products.MATMUL,
        "Max": reductions.MAX,
        "MaxPool": MAX_POOL,
        "Maximum": elementwise.MAXIMUM,
        "Mean": (reductions.VARIANCE, reductions.MEAN),
        "Min": reductions.MIN,
        "Minimum": elementwise.MINIMUM,
        "Mul": elementwise.MUL,
        "Neg": elementwise.NEG,
        "NotEqual": logic.NOT_EQUAL,
        "Pack": splitting.PACK,
        "Pad": shaping.PAD,
        "Pow": powers.POW,
        "RealDiv": elementwise.DIV,
        "Reciprocal": powers.RECIPROCAL,
        "Relu": rectifiers.RELU,
        "Relu6": rectifiers.RELU6,
        "Reshape": (rank_reduction.REPEATED, rank_reduction.PERMUTED, shaping.RESHAPE),
        "ResizeBicubic": linear.RESIZE,
        "ResizeBilinear": linear.RESIZE,
        "ResizeNearestNeighbor": linear.RESIZE,
        "ReverseV2": slicing.REVERSE,
        "Round": steps.ROUND,
        "Rsqrt": powers.RSQRT,
        "SelectV2": logic.SELECT,
        "Selu": rectifiers.SELU,
        "Sigmoid": sigmoids.SIGMOID,
        "Sign": steps.SIGN,
        "Slice": slicing.SLICE,
        "Softmax": SOFTMAX,
        "Softplus": sigmoids.SOFTPLUS,
        "Softsign": sigmoids.SOFTSIGN,
        "SpaceToBatchND": blocks.SPACE_TO_BATCH,
        "Split": splitting.SPLIT,
        "SplitV": splitting.SPLIT_V,
        "Sqrt": powers.SQRT,
        "Square": powers.SQUARE,
        "SquaredDifference": elementwise.SQUARED_DIFFERENCE,
        "Squeeze": shaping.RESHAPE,
        "StopGradient": shaping.STOP_GRADIENT,
        "StridedSlice": slicing.STRIDED_SLICE,
        "Sub": elementwise.SUB,
        "Sum": reductions.SUM,
        "Tanh": sigmoids.TANH,
        "Tile": slicing.TILE,
        "Transpose": slicing.TRANSPOSE,
        "Unpack": splitting.UNPACK,
    }
)
