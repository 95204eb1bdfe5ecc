"""The same step under `tf.function`, or compiled by XLA.

usage: tensorflow_function.py NAME BATCH THREADS [xla]
"""

from __future__ import annotations

import math
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import tensorflow as tf
from keras_model import build, step_of
from protocol import serve

name, batch, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
compiles = "xla" in sys.argv[4:]
tf.config.threading.set_intra_op_parallelism_threads(threads)
built = build(name)
model = built.model
step = tf.function(step_of(model), jit_compile=compiles)
serve(
    lambda x, y: step(x, y).numpy(),
    f"TensorFlow {tf.__version__} {'XLA' if compiles else 'tf.function'}",
    built.input_shape,
    batch,
    built.classes,
    sum(math.prod(v.shape) for v in model.trainable_variables),
)
