"""From concrete functions to a flatbuffer of builtin operators."""

from __future__ import annotations

import contextlib
import io
import logging
from typing import Any, Protocol

import tensorflow as tf
from tensorflow.lite.python import convert as tflite_convert

from tfplus.errors import ExportError
from tfplus.system import temporary


class Shell(Protocol):
    """A module that offers signatures."""

    def concrete_functions(self) -> dict[str, Any]:
        """Signature name → concrete function of fixed shapes."""
        ...


def to_flatbuffer(module: Shell) -> bytes:
    """Converts a shell's signatures, with TFLite's builtin operators alone.

    Raises:
      ExportError: the converter needs an operator that is not builtin.
    """
    functions = module.concrete_functions()
    with temporary.folder("export") as folder, _quiet():
        tf.saved_model.save(module, str(folder), signatures=functions)
        try:
            # What `tf.lite.TFLiteConverter` calls, too, between loading the graph twice, which it
            # needs for its statistics, and taking the file apart twice to merge equal constants:
            # more than half of the time that it takes, for the same operators.
            converted: Any = tflite_convert.convert_saved_model(
                saved_model_dir=str(folder),
                saved_model_version=1,
                saved_model_tags={tf.saved_model.SERVING},
                saved_model_exported_names=list(functions),
                target_ops=[tf.lite.OpsSet.TFLITE_BUILTINS],
                enable_tflite_resource_variables=True,
            )
            return converted
        except Exception as error:
            lines = [line for line in str(error).splitlines() if line.strip()]
            raise ExportError(
                f"the TFLite converter refused the lowered step: {lines[0] if lines else error}"
            ) from error


@contextlib.contextmanager
def _quiet() -> Any:
    """Keeps the converter's notices off the terminal; errors come as exceptions."""
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)
