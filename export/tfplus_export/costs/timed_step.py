"""A training step that can be timed: on random data, under LiteRT."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from ai_edge_litert.interpreter import Interpreter


def runnable(content: bytes, threads: int) -> Callable[[], object]:
    """What takes one step of a flatbuffer's signature `train`.

    Args:
      content: the flatbuffer.
      threads: of the runtime.
    """
    interpreter = Interpreter(model_content=content, num_threads=threads)
    train = interpreter.get_signature_runner("train")
    rng = np.random.default_rng(0)
    inputs = {
        name: (
            rng.standard_normal(detail["shape"], np.float32)
            if detail["dtype"] is np.float32
            else np.zeros(detail["shape"], detail["dtype"])
        )
        for name, detail in train.get_input_details().items()
    }
    return lambda: train(**inputs)
