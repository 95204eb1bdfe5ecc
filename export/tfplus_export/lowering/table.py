"""The table of lowering rules: TensorFlow operation → rule, or rules in order of preference."""

from __future__ import annotations

from types import MappingProxyType

from tfplus_export.lowering.activations import RELU, SOFTMAX
from tfplus_export.lowering.conv2d import CONV2D
from tfplus_export.lowering.depthwise import DEPTHWISE_CONV2D
from tfplus_export.lowering.elementwise import (
    ADD,
    BIAS_ADD,
    MUL,
    NEGATIVE,
    RSQRT,
    SQUARED_DIFFERENCE,
    SUB,
)
from tfplus_export.lowering.matmul import MATMUL
from tfplus_export.lowering.pooling import AVG_POOL, MAX_POOL
from tfplus_export.lowering.reductions import MAX, MEAN, VARIANCE
from tfplus_export.lowering.rule import Rules
from tfplus_export.lowering.shaping import (
    BATCH_TO_SPACE,
    CONCAT,
    RESHAPE,
    SPACE_TO_BATCH,
    STOP_GRADIENT,
)

RULES: Rules = MappingProxyType(
    {
        "Add": ADD,
        "AddV2": ADD,
        "AvgPool": AVG_POOL,
        "BatchToSpaceND": BATCH_TO_SPACE,
        "BiasAdd": BIAS_ADD,
        "ConcatV2": CONCAT,
        "Conv2D": CONV2D,
        "DepthwiseConv2dNative": DEPTHWISE_CONV2D,
        "ExpandDims": RESHAPE,
        "MatMul": MATMUL,
        "Max": MAX,
        "MaxPool": MAX_POOL,
        "Mean": (VARIANCE, MEAN),
        "Mul": MUL,
        "Neg": NEGATIVE,
        "Relu": RELU,
        "Reshape": RESHAPE,
        "Rsqrt": RSQRT,
        "Softmax": SOFTMAX,
        "SpaceToBatchND": SPACE_TO_BATCH,
        "SquaredDifference": SQUARED_DIFFERENCE,
        "Squeeze": RESHAPE,
        "StopGradient": STOP_GRADIENT,
        "Sub": SUB,
    }
)
