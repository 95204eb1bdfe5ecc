"""The table of lowering rules: TensorFlow operation → rule, or rules in order of preference."""

from __future__ import annotations

from types import MappingProxyType

from tfplus_export.lowering import (
    elementwise,
    powers,
    rectifiers,
    reductions,
    shaping,
    sigmoids,
    slicing,
    splitting,
)
from tfplus_export.lowering.conv2d import CONV2D
from tfplus_export.lowering.depthwise import DEPTHWISE_CONV2D
from tfplus_export.lowering.erf import ERFC
from tfplus_export.lowering.matmul import MATMUL
from tfplus_export.lowering.pooling import AVG_POOL, MAX_POOL
from tfplus_export.lowering.rule import Rules
from tfplus_export.lowering.softmax import SOFTMAX

RULES: Rules = MappingProxyType(
    {
        "Add": elementwise.ADD,
        "AddV2": elementwise.ADD,
        "AvgPool": AVG_POOL,
        "BatchToSpaceND": shaping.BATCH_TO_SPACE,
        "BiasAdd": elementwise.BIAS_ADD,
        "BroadcastTo": slicing.BROADCAST_TO,
        "ConcatV2": shaping.CONCAT,
        "Conv2D": CONV2D,
        "DepthwiseConv2dNative": DEPTHWISE_CONV2D,
        "Elu": rectifiers.ELU,
        "Erfc": ERFC,
        "Exp": powers.EXP,
        "ExpandDims": shaping.RESHAPE,
        "Expm1": powers.EXPM1,
        "IdentityN": shaping.IDENTITY_N,
        "LeakyRelu": rectifiers.LEAKY_RELU,
        "Log": powers.LOG,
        "MatMul": MATMUL,
        "Max": reductions.MAX,
        "MaxPool": MAX_POOL,
        "Maximum": elementwise.MAXIMUM,
        "Mean": (reductions.VARIANCE, reductions.MEAN),
        "Minimum": elementwise.MINIMUM,
        "Mul": elementwise.MUL,
        "Neg": elementwise.NEG,
        "Pack": splitting.PACK,
        "Pad": shaping.PAD,
        "Pow": powers.POW,
        "RealDiv": elementwise.DIV,
        "Relu": rectifiers.RELU,
        "Relu6": rectifiers.RELU6,
        "Reshape": shaping.RESHAPE,
        "Rsqrt": powers.RSQRT,
        "Selu": rectifiers.SELU,
        "Sigmoid": sigmoids.SIGMOID,
        "Slice": slicing.SLICE,
        "Softmax": SOFTMAX,
        "Softplus": sigmoids.SOFTPLUS,
        "Softsign": sigmoids.SOFTSIGN,
        "SpaceToBatchND": shaping.SPACE_TO_BATCH,
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
