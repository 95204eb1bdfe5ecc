"""What a device is started with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from tfplus.data.scaling import Scaling
from tfplus.features.limits import DEFAULT_LIMIT_BYTES
from tfplus.runtime import accelerators, interpreter
from tfplus.runtime.gpu import Precision
from tfplus.system.files import absolute
from tfplus.system.processor_use import EVERYTHING, ProcessorUse
from tfplus_agent.device import retention
from tfplus_agent.jobs.limits.gates import NO_GATES, Gates

# In the state directory: what frozen layers made of samples.
FEATURES = "features"


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
      features_limit_bytes: of what frozen layers made of samples, on disk.
      processor_use: how much of the processor training takes.
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
    features_limit_bytes: int = DEFAULT_LIMIT_BYTES
    processor_use: ProcessorUse = EVERYTHING

    def resolved(self) -> DeviceConfig:
        """The same with absolute paths."""
        eval_data = absolute(self.eval_data) if self.eval_data else None
        return replace(
            self,
            state_dir=absolute(self.state_dir),
            data=absolute(self.data),
            eval_data=eval_data,
        )
