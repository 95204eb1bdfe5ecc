"""From concrete functions to a flatbuffer of builtin operators."""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
from typing import Any, Protocol

import tensorflow as tf

from tfplus.errors import ExportError


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
    with tempfile.TemporaryDirectory(prefix="tfplus-export-") as folder, _quiet():
        tf.saved_model.save(module, folder, signatures=functions)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        converter.experimental_enable_resource_variables = True
        # Takes the file apart and together again three times to note what made it.
        converter.exclude_conversion_metadata = True
        try:
            return converter.convert()
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
