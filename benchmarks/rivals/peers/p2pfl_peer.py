"""A peer of p2pfl: a node, FedAvg, and a learner that brings a vector in place of training.

One round of p2pfl is more than an average: a first model goes from the starter to all, all vote who
trains, each trains, partial averages go around until everybody has one of all, and everybody tells
that it is done. Here nobody trains, the first model is one number, and everybody is voted for. The
settings are p2pfl's own for one machine (`set_standalone_settings`). `way` says who is connected
with whom before the round begins.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from importlib import metadata
from typing import Any

import numpy as np
from driven import Options, serve
from p2pfl.settings import Settings

# As `set_standalone_settings` says, which comes too late: a default argument takes it on import.
_AGGREGATION_S = 60
Settings.general.DISABLE_RAY = True
Settings.general.LOG_DIR = sys.argv[sys.argv.index("--folder") + 1]
Settings.training.AGGREGATION_TIMEOUT = _AGGREGATION_S

from datasets import Dataset  # noqa: E402
from p2pfl.learning.aggregators.fedavg import FedAvg  # noqa: E402
from p2pfl.learning.dataset.p2pfl_dataset import P2PFLDataset  # noqa: E402
from p2pfl.learning.frameworks.learner import Learner  # noqa: E402
from p2pfl.learning.frameworks.p2pfl_model import P2PFLModel  # noqa: E402
from p2pfl.node import Node  # noqa: E402
from p2pfl.utils.utils import set_standalone_settings  # noqa: E402

_LOOK_EVERY_S = 0.005
_MEET_S = 60.0


class VectorModel(P2PFLModel):
    """A vector as p2pfl's model."""

    def get_parameters(self) -> list[np.ndarray]:
        """Its one array."""
        return self._params

    def set_parameters(self, params: list[np.ndarray] | bytes) -> None:
        """Takes an array, or what `encode_parameters` made of one."""
        if isinstance(params, bytes):
            params, self.additional_info = self.decode_parameters(params)
        self._params = params

    def get_framework(self) -> str:
        """A name; p2pfl has callbacks for frameworks, and none is wanted here."""
        return "numpy"


class VectorLearner(Learner):
    """Brings a vector where another would train."""

    values: np.ndarray

    def fit(self) -> P2PFLModel:
        """Puts the vector into the model."""
        self.set_model(VectorModel(None, [self.values], 1, [self.addr]))
        return self.get_model()

    def interrupt_fit(self) -> None:
        """Nothing takes long."""

    def evaluate(self) -> dict[str, float]:
        """Nothing to tell."""
        return {}

    def get_framework(self) -> str:
        """See `VectorModel`."""
        return "numpy"


class P2pflPeer:
    """One node, connected with all others; the first one starts the round."""

    def __init__(self, options: Options) -> None:
        set_standalone_settings()
        self._options = options
        self._learner = VectorLearner()
        data = P2PFLDataset(Dataset.from_dict({"x": [0]}))
        self._node = Node(
            self._first_model(), data, "127.0.0.1", learner=self._learner, aggregator=FedAvg()
        )
        self._node.start()

    def about(self) -> dict[str, Any]:
        """See `System`."""
        return {"version": metadata.version("p2pfl"), "address": self._node.addr}

    def meet(self, others: Sequence[dict[str, Any]]) -> None:
        """See `System`."""
        index, count = self._options.index, self._options.count
        before = {
            "line": [index - 1] if index else [],
            "ring": [index - 1] if index else [count - 1],
            "star": [0] if index else [],
            "full": list(range(index)),
        }[self._options.way]
        for number in before:
            self._node.connect(others[number]["address"])
        until = time.monotonic() + _MEET_S
        # Those that are not connected are known by what others say of them.
        while len(self._node.get_neighbors()) < count - 1:
            if time.monotonic() > until:
                raise RuntimeError("not all others were met")
            time.sleep(_LOOK_EVERY_S)

    def prepare(self, values: np.ndarray) -> None:
        """See `System`."""
        self._learner.values = values
        self._node.set_model(self._first_model())

    def average(self, told: Callable[[int, np.ndarray], None]) -> np.ndarray:
        """See `System`."""
        if self._options.index == 0:
            self._node.set_start_learning(rounds=1, epochs=0, trainset_size=self._options.count)
        for begun in (True, False):
            while (self._node.state.round is not None) is not begun:
                time.sleep(_LOOK_EVERY_S)
        (found,) = self._learner.get_model().get_parameters()
        if found.size != self._options.values:
            raise RuntimeError("the round ended without a model of all")
        return found

    def close(self) -> None:
        """See `System`."""
        self._node.stop()

    @staticmethod
    def _first_model() -> VectorModel:
        return VectorModel(None, [np.zeros(1, np.float32)], 1)


if __name__ == "__main__":
    serve(P2pflPeer)
