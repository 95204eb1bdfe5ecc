"""TFLite's own way to train, with the Flex delegate.

usage: tflite_flex.py NAME BATCH THREADS
"""

from __future__ import annotations

import math
import os
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import tensorflow as tf
from keras_model import build, step_of
from protocol import serve

name, batch, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
built = build(name)
model = built.model
module = tf.Module()
# Keras 3 variables are not tracked by a module by themselves.
module.cells = [v.value for v in model.variables]
step = step_of(model)
module.train = tf.function(
    lambda x, y: {"loss": step(x, y)},
    input_signature=[
        tf.TensorSpec([batch, *built.input_shape], tf.float32, name="x"),
        tf.TensorSpec([batch], tf.int32, name="y"),
    ],
)
with tempfile.TemporaryDirectory() as folder:
    signatures = {"train": module.train.get_concrete_function()}
    tf.saved_model.save(module, folder, signatures=signatures)
    converter = tf.lite.TFLiteConverter.from_saved_model(folder)
    converter.target_spec.supported_ops = [
        tf.lite.OpsSet.TFLITE_BUILTINS,
        tf.lite.OpsSet.SELECT_TF_OPS,
    ]
    converter.experimental_enable_resource_variables = True
    content = converter.convert()
interpreter = tf.lite.Interpreter(model_content=content, num_threads=threads)
train = interpreter.get_signature_runner("train")
serve(
    lambda x, y: train(x=x, y=y),
    f"TFLite with Flex, TensorFlow {tf.__version__}",
    built.input_shape,
    batch,
    built.classes,
    sum(math.prod(v.shape) for v in model.trainable_variables),
)
