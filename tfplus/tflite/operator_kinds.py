"""Kinds of TFLite's builtin operators, of those that the rules write."""

from __future__ import annotations

# Each element of the result is made of the elements at its place.
ELEMENTWISE = frozenset(
    {
        *("ABS", "ADD", "CEIL", "COS", "DIV", "ELU", "EXP", "FLOOR", "GELU", "HARD_SWISH"),
        *("LEAKY_RELU", "LOG", "LOGISTIC", "MAXIMUM", "MINIMUM", "MUL", "NEG", "PRELU", "RELU"),
        *("RELU6", "ROUND", "RSQRT", "SIN", "SQRT", "SQUARE", "SQUARED_DIFFERENCE", "SUB", "TANH"),
    }
)
# The same data under another shape.
RESHAPING = frozenset({"EXPAND_DIMS", "RESHAPE"})
# Data elsewhere.
COPYING = frozenset(
    {"CONCATENATION", "PAD", "READ_VARIABLE", "SLICE", "STRIDED_SLICE", "TRANSPOSE"}
)
# Sums of products; their second input may be a filter.
PRODUCTS = frozenset(
    {"BATCH_MATMUL", "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"}
)
# They reach what outlives a step.
STATEFUL = frozenset({"ASSIGN_VARIABLE", "CALL_ONCE", "READ_VARIABLE", "VAR_HANDLE"})
