"""What a device is started with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from tfplus.data.scaling import Scaling
from tfplus.runtime import accelerators, interpreter
from tfplus.runtime.gpu import Precision
from tfplus_agent.jobs.gates import NO_GATES, Gates
from tfplus_agent.storage import retention


@dataclass(frozen=True)
class DeviceConfig:
    """What a device is started with.

    Attributes:
      name: its name among its peers.
      state_dir: models, checkpoints and logs; one agent's own.
      data: training data.
      eval_data: evaluation data, if any.
      runtime: `auto` or the name of a runtime.
      threads: of the interpreter, where LoadModel does not say; 0 for every core.
      accelerator: `auto` for a GPU where it is there and computes rightly, `cpu` or `gpu`.
      loss_every: on a GPU, read the loss after so many steps.
      gpu_precision: of a GPU's arithmetic; weights and optimizer state are float32 either way.
      keep_models: models that stay on disk, with their checkpoints, beside the one that is loaded
        and those of gossip runs that can be gone on with.
      scaling: of the data's values, whatever the model's file or LoadModel declare.
      gates: when training should wait.
    """

    name: str
    state_dir: Path
    data: Path
    eval_data: Path | None = None
    runtime: str = interpreter.AUTO
    threads: int = 0
    accelerator: str = accelerators.AUTO
    loss_every: int = 1
    gpu_precision: Precision = "float32"
    keep_models: int = retention.KEEP_MODELS
    scaling: Scaling | None = None
    gates: Gates = NO_GATES

    def resolved(self) -> DeviceConfig:
        """The same with absolute paths."""
        eval_data = self.eval_data.resolve() if self.eval_data else None
        return replace(
            self,
            state_dir=self.state_dir.resolve(),
            data=self.data.resolve(),
            eval_data=eval_data,
        )
